import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A line on loopback that a test can cut and freeze. */
export interface TcpProxy {
  port: number;
  /** Ends all lines, and refuses new ones until `restore`. */
  cut(): void;
  /** Passes nothing on, in neither direction, and tells nobody. */
  freeze(): void;
  /** Passes on again, what had come meanwhile first. */
  restore(): void;
  close(): Promise<void>;
}

export async function tcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let state: 'open' | 'cut' | 'frozen' = 'open';
  const keep = (socket: Socket, other: () => Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      other().destroy();
    });
  };
  const server = createServer({ pauseOnConnect: true }, (near) => {
    if (state === 'cut') return near.destroy();
    const far = connect(targetPort, '127.0.0.1');
    keep(near, () => far);
    keep(far, () => near);
    near.on('data', (data) => far.write(data));
    far.on('data', (data) => near.write(data));
    if (state === 'frozen') far.pause();
    else near.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      state = 'cut';
      for (const socket of sockets) socket.destroy();
    },
    freeze() {
      state = 'frozen';
      for (const socket of sockets) socket.pause();
    },
    restore() {
      state = 'open';
      for (const socket of sockets) socket.resume();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
