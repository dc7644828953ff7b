/** Where the api is, read when the server runs. */
export function apiUrl(path: string): URL {
  return new URL(path, process.env.API_URL ?? "http://localhost:8000");
}
