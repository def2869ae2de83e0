/** The other end of `inOwnProcess`. */
const [file, name, input] = process.argv.slice(2);
process.on('disconnect', () => process.exit(1));
const module = (await import(file!)) as Record<string, (input: unknown) => Promise<unknown>>;
const output = await module[name!]!(JSON.parse(input!));
process.send!({ output }, () => process.exit(0));
