import { overload } from './support/overload.ts';
console.log(await overload(process.argv[2]!, { limit: +process.argv[3]!, seconds: +process.argv[4]!, processes: +process.argv[5]!, times: 10, kill: process.argv[6] === 'kill' }));
process.exit(0);
