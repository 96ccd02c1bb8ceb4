// Where a model may be fetched from: https, the shorthand for the Hugging Face hub, and plain http on this machine only.

import { GpufaasError } from '../errors.ts';

/** The hub that hf:// addresses mean. */
export const HUB_URL = 'https://huggingface.co';

/** The URL of an address: `https://…`, or `hf://owner/repo[@revision]/path/to/file.onnx`. Throws BAD_REQUEST. */
export function modelUrl(address: string, hubUrl = HUB_URL): URL {
  const text = address.startsWith('hf://') ? hubFile(address, hubUrl) : address;
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw badAddress(address, 'it is no URL');
  }
  checkUrl(url, address);
  return url;
}

/** Throws BAD_REQUEST for a URL that models are not fetched from; redirects are held to it too. */
export function checkUrl(url: URL, address: string): void {
  if (url.username !== '' || url.password !== '') throw badAddress(address, 'it holds a password');
  if (url.protocol === 'https:') return;
  if (url.protocol !== 'http:') throw badAddress(address, `it leads to ${url.protocol}//…`);
  if (!isLoopback(url.hostname)) throw badAddress(address, 'plain http is for this machine only');
}

function hubFile(address: string, hubUrl: string): string {
  const match = /^hf:\/\/([\w.-]{1,96})\/([\w.-]{1,96})(?:@([\w./-]{1,120}?))?\/([^?#@]{1,512})$/.exec(address);
  const [, owner, repository, revision = 'main', path] = match ?? [];
  const names = [owner, repository, ...revision.split('/'), ...(path ?? '').split('/')];
  if (!match || names.some((name) => name === '' || name === '.' || name === '..')) {
    throw badAddress(address, 'it is not of the form hf://owner/repo/path/to/file.onnx');
  }
  const encoded = path!.split('/').map(encodeURIComponent).join('/');
  return `${hubUrl}/${owner}/${repository}/resolve/${encodeURIComponent(revision)}/${encoded}`;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

function badAddress(address: string, why: string): GpufaasError {
  const shown = JSON.stringify(address.replace(/\/\/[^/@]*@/, '//…@').slice(0, 200));
  return new GpufaasError('BAD_REQUEST', `Models can not be fetched from ${shown}: ${why}.`, {
    suggestions: ['Give https://… or hf://owner/repo/path/to/model.onnx.'],
  });
}
