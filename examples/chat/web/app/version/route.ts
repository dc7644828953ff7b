export const dynamic = "force-dynamic";

export function GET() {
  return Response.json(
    { service: "web", commit: process.env.ALLFAST_COMMIT },
    { headers: { "cache-control": "no-store" } },
  );
}
