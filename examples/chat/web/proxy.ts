import { NextResponse, type NextRequest } from "next/server";

import { apiUrl } from "@/lib/api-url";

// The browser knows one origin: /api/* goes on to the api. (`rewrites()` would fix the api's address when the image is built.)
export const config = { matcher: "/api/:path*" };

export function proxy(request: NextRequest) {
  const { pathname, search } = request.nextUrl;
  return NextResponse.rewrite(apiUrl(pathname + search));
}
