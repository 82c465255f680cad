// *.localhost is 127.0.0.1, whatever the machine says: loaded before anything else (node --import).
import dns from "node:dns";

const original = dns.lookup;
dns.lookup = (host, options, callback) => {
  const isOurs = host === "localhost" || host.endsWith(".localhost");
  return original(isOurs ? "127.0.0.1" : host, options, callback);
};
