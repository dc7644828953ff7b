import "server-only";

import { cookies } from "next/headers";
import { notFound, redirect } from "next/navigation";

import { apiUrl } from "@/lib/api-url";

export type Conversation = { id: number; title: string; messages: number; created_at: string };
export type Message = { id: number; author: "user" | "worker"; body: string; created_at: string };

/** Read from the api as the user whose page is being rendered. */
export async function readApi<T>(path: string): Promise<T> {
  const response = await fetch(apiUrl(path), {
    headers: { cookie: (await cookies()).toString() },
    cache: "no-store",
  });
  if (response.status === 401) redirect("/login");
  if (response.status === 404) notFound();
  if (!response.ok) throw new Error(`GET ${path}: ${response.status}`);
  return (await response.json()) as T;
}
