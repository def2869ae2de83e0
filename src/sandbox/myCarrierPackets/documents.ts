import { createHash } from 'node:crypto';
import type { Viewer } from './carrierDetails.ts';
import { keyOf } from './portal.ts';

/** The same id for the same text, in the form of a UUID: what blobs are named by. */
export function blobId(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

export const agreementBlob = (customerId: number, dotNumber: number, at: number) =>
  `company-agreement/${customerId}/${blobId(`${customerId} ${dotNumber} ${at}`)}`;

/**
 * The PDF of that name: the customer's own agreements, W-9 forms of carriers whose packet it has, and certificates of
 * insurance of all.
 */
export function findDocument({ portal, customerId }: Viewer, name: string): string | undefined {
  const isAgreement = portal.packets
    .list()
    .some((packet) => packet.customerId === customerId && packet.agreementBlob === name);
  if (isAgreement) return pdfOf(`Broker-Carrier Agreement, ${name}`);
  for (const { legalName, dotNumber, insurance, payment } of portal.carriers.list()) {
    if (insurance.certificateBlob === name) return pdfOf(`Certificate of insurance of ${legalName}`);
    const hasPacket = portal.packets.get(keyOf(customerId, dotNumber)) !== undefined;
    if (hasPacket && payment.w9Blob === name) return pdfOf(`W-9 of ${legalName}`);
  }
  return undefined;
}

/** One page with one line, in ASCII (ISO 32000-1, 7.5). */
function pdfOf(line: string): string {
  const text = line.replace(/[^ -~]/g, '?').replace(/[\\()]/g, (sign) => `\\${sign}`);
  const content = `BT /F1 14 Tf 72 720 Td (${text}) Tj ET`;
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ];
  let file = '%PDF-1.4\n';
  const offsets = objects.map((object, index) => {
    const offset = file.length;
    file += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return `${String(offset).padStart(10, '0')} 00000 n \n`;
  });
  const size = objects.length + 1;
  const table = `xref\n0 ${size}\n0000000000 65535 f \n${offsets.join('')}`;
  return `${file}${table}trailer\n<< /Size ${size} /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF\n`;
}
