"use client";

import Link from "next/link";
import { usePathname, useRouter } from "next/navigation";

import { post } from "@/lib/post";

export function HistoryLink({ id, title, messages }: { id: number; title: string; messages: number }) {
  const path = `/conversations/${id}`;
  return (
    <Link href={path} aria-current={usePathname() === path ? "page" : undefined}>
      <span>{title}</span> <small>{messages}</small>
    </Link>
  );
}

export function NewConversationButton() {
  const router = useRouter();

  async function create() {
    const { id } = await post<{ id: number }>("/api/conversations");
    router.push(`/conversations/${id}`);
    router.refresh();
  }

  return <button onClick={create}>New conversation</button>;
}

export function LogoutButton() {
  const router = useRouter();

  async function logout() {
    await post("/api/logout");
    router.push("/login");
    router.refresh();
  }

  return (
    <button className="quiet" onClick={logout}>
      Log out
    </button>
  );
}
