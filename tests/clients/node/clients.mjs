// The Node clients against a running instance, whose environment is this process's. Prints "passed" at the end.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, createPrivateKey, createPublicKey, randomBytes, verify, X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import https from "node:https";
import tls from "node:tls";

import { ClientSecretCredential } from "@azure/identity";
import { CertificateClient } from "@azure/keyvault-certificates";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";
import { SecretClient } from "@azure/keyvault-secrets";

const environment = process.env;
const vault = environment.AZURE_KEYVAULT_URL;
const credential = new ClientSecretCredential(
  environment.AZURE_TENANT_ID,
  environment.AZURE_CLIENT_ID,
  environment.AZURE_CLIENT_SECRET,
  { authorityHost: environment.AZURE_AUTHORITY_HOST, disableInstanceDiscovery: true },
);
const name = (word) => `node-${word}-${randomBytes(4).toString("hex")}`;
const all = async (pages) => {
  const found = [];
  for await (const one of pages) found.push(one);
  return found;
};

async function keys() {
  const client = new KeyClient(vault, credential);
  for (const hsm of [false, true]) {
    const key = await client.createEcKey(name("ec"), { curve: "P-256", hsm });
    const digest = createHash("sha256").update("message").digest();
    const cryptography = new CryptographyClient(key, credential);
    const { result } = await cryptography.sign("ES256", digest);
    const jwk = { kty: "EC", crv: "P-256", x: base64url(key.key.x), y: base64url(key.key.y) };
    const publicKey = createPublicKey({ key: jwk, format: "jwk" });
    assert(verify("sha256", Buffer.from("message"), { key: publicKey, dsaEncoding: "ieee-p1363" }, result));
    await client.updateKeyProperties(key.name, key.properties.version, { enabled: false });
    await assert.rejects(cryptography.sign("ES256", digest), { statusCode: 403 });
    await (await client.beginDeleteKey(key.name)).pollUntilDone();
    await (await client.beginRecoverDeletedKey(key.name)).pollUntilDone();
    assert.equal((await client.getKey(key.name)).properties.version, key.properties.version);
    const backup = await client.backupKey(key.name);
    await (await client.beginDeleteKey(key.name)).pollUntilDone();
    await client.purgeDeletedKey(key.name);
    assert.equal((await client.restoreKeyBackup(backup)).name, key.name);
  }
  const rsa = await client.createRsaKey(name("rsa"), { keySize: 2048 });
  const cryptography = new CryptographyClient(rsa, credential);
  const { result } = await cryptography.wrapKey("RSA-OAEP-256", Buffer.alloc(32, 7));
  assert.deepEqual(Buffer.from((await cryptography.unwrapKey("RSA-OAEP-256", result)).result), Buffer.alloc(32, 7));
  assert((await all(client.listPropertiesOfKeys())).some((one) => one.name === rsa.name));
}

async function secrets() {
  const client = new SecretClient(vault, credential);
  const secret = await client.setSecret(name("secret"), "grüße 🔑", {
    contentType: "text/plain",
    tags: { a: "b" },
    expiresOn: new Date("2037-01-01T00:00:00Z"), // the client cuts times to 32 bits: later ones become negative
  });
  assert.equal((await client.getSecret(secret.name)).value, "grüße 🔑");
  const second = await client.setSecret(secret.name, "second");
  assert.equal((await client.getSecret(secret.name, { version: secret.properties.version })).value, "grüße 🔑");
  assert.equal((await all(client.listPropertiesOfSecretVersions(secret.name))).length, 2);
  await client.updateSecretProperties(secret.name, second.properties.version, { enabled: false });
  await assert.rejects(client.getSecret(secret.name), { statusCode: 403 });
  const backup = await client.backupSecret(secret.name);
  await (await client.beginDeleteSecret(secret.name)).pollUntilDone();
  assert((await all(client.listDeletedSecrets())).some((one) => one.name === secret.name));
  await (await client.beginRecoverDeletedSecret(secret.name)).pollUntilDone();
  await (await client.beginDeleteSecret(secret.name)).pollUntilDone();
  await client.purgeDeletedSecret(secret.name);
  assert.equal((await client.restoreSecretBackup(backup)).name, secret.name);

  for (let number = 0; number < 27; number++) await client.setSecret(secret.name, `${number}`);
  const versions = await all(client.listPropertiesOfSecretVersions(secret.name)); // more than a page
  assert.equal(new Set(versions.map((one) => one.version)).size, 29);
}

async function certificates() {
  const client = new CertificateClient(vault, credential);
  const policy = {
    issuerName: "Self",
    subject: "CN=node.example",
    subjectAlternativeNames: { dnsNames: ["node.example"], emails: [], userPrincipalNames: [] },
    contentType: "application/x-pkcs12",
    keyType: "EC",
    keyCurveName: "P-256",
    exportable: true,
    validityInMonths: 6,
  };
  const certificateName = name("certificate");
  const poller = await client.beginCreateCertificate(certificateName, policy, { intervalInMs: 100 });
  const created = await poller.pollUntilDone();
  const parsed = new X509Certificate(Buffer.from(created.cer));
  assert(parsed.verify(parsed.publicKey));
  assert.equal(parsed.subjectAltName, "DNS:node.example");

  // The secret of the same name is a PFX without a password: Node serves TLS with it.
  const secret = await new SecretClient(vault, credential).getSecret(certificateName);
  const pfx = Buffer.from(secret.value, "base64");
  await handshake({ pfx, passphrase: "" }, parsed.toString());

  const cryptography = new CryptographyClient(created.keyId, credential);
  const digest = createHash("sha256").update("message").digest();
  const { result } = await cryptography.sign("ES256", digest);
  assert(verify("sha256", Buffer.from("message"), { key: parsed.publicKey, dsaEncoding: "ieee-p1363" }, result));

  const pem = await client.beginCreateCertificate(name("pem"), { ...policy, contentType: "application/x-pem-file" }, {
    intervalInMs: 100,
  });
  const asPem = await pem.pollUntilDone();
  const text = (await new SecretClient(vault, credential).getSecret(asPem.name)).value;
  createPrivateKey(text);
  await handshake({ key: text, cert: text }, new X509Certificate(Buffer.from(asPem.cer)).toString());

  const imported = await client.importCertificate(name("imported"), pfx, { password: "" });
  assert.deepEqual(Buffer.from(imported.cer), Buffer.from(created.cer));
  await client.updateCertificateProperties(certificateName, created.properties.version, { tags: { a: "b" } });
  assert.equal((await client.getCertificate(certificateName)).properties.tags.a, "b");
  await client.updateCertificatePolicy(certificateName, { ...policy, validityInMonths: 3 });
  assert.equal((await client.getCertificatePolicy(certificateName)).validityInMonths, 3);

  const issuerName = name("issuer");
  await client.createIssuer(issuerName, "LocalCA", { accountId: "dev-ca" });
  const signed = await client.beginCreateCertificate(name("signed"), { ...policy, issuerName }, { intervalInMs: 100 });
  const issued = new X509Certificate(Buffer.from((await signed.pollUntilDone()).cer));
  assert.notEqual(issued.issuer, issued.subject);
  // The client gives these items as they came, without a name of their own.
  assert((await all(client.listPropertiesOfIssuers())).some((one) => one.id.endsWith(`/${issuerName}`)));
  await client.deleteIssuer(issuerName);

  await pending(client, policy);

  await client.setContacts([{ email: "node@example.com" }]);
  assert.equal((await client.getContacts())[0].email, "node@example.com");
  await client.deleteContacts();

  const backup = await client.backupCertificate(certificateName);
  await (await client.beginDeleteCertificate(certificateName)).pollUntilDone();
  await (await client.beginRecoverDeletedCertificate(certificateName)).pollUntilDone();
  await (await client.beginDeleteCertificate(certificateName)).pollUntilDone();
  await client.purgeDeletedCertificate(certificateName);
  assert.equal((await client.restoreCertificateBackup(backup)).name, certificateName);
}

/** A request goes out, is cancelled, goes out again, and what an authority made of it is merged in. */
async function pending(client, policy) {
  const requestName = name("request");
  const request = { ...policy, issuerName: "Unknown", keyType: "EC-HSM", exportable: false };
  await client.beginCreateCertificate(requestName, request, { intervalInMs: 100 });
  const poller = await client.getCertificateOperation(requestName);
  await poller.cancelOperation();
  await client.deleteCertificateOperation(requestName);
  await client.beginCreateCertificate(requestName, request, { intervalInMs: 100 });
  const { csr } = (await client.getCertificateOperation(requestName)).getOperationState().certificateOperation;
  writeFileSync("request.der", csr);
  const authority = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Node CA"];
  execFileSync("openssl", ["req", "-x509", ...authority, "-keyout", "ca.key", "-out", "ca.pem"], { stdio: "pipe" });
  const sign = ["-req", "-inform", "DER", "-in", "request.der", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30"];
  execFileSync("openssl", ["x509", ...sign, "-outform", "DER", "-out", "leaf.der"], { stdio: "pipe" });
  const leaf = readFileSync("leaf.der");
  const merged = await client.mergeCertificate(requestName, [leaf]);
  assert.deepEqual(Buffer.from(merged.cer), leaf);
  await assert.rejects(client.mergeCertificate(requestName, [leaf]), { statusCode: 403 });
}

/** Serve TLS with these credentials, and connect to it as a client that trusts this certificate alone. */
async function handshake(credentials, ca) {
  const server = https.createServer(credentials, (_, response) => response.end("served"));
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const options = { port: server.address().port, host: "127.0.0.1", servername: "node.example", ca };
  const authorized = await new Promise((done, failed) => {
    const socket = tls.connect(options, () => {
      done(socket.authorized);
      socket.destroy();
    });
    socket.on("error", failed);
  });
  server.close();
  assert(authorized);
}

function base64url(bytes) {
  return Buffer.from(bytes).toString("base64url");
}

await keys();
await secrets();
await certificates();
console.log("passed");
