"use client";

import { useRouter } from "next/navigation";
import { useEffect, useState } from "react";

import { post } from "@/lib/post";

export function MessageForm({ conversation, awaitsReply }: { conversation: string; awaitsReply: boolean }) {
  const router = useRouter();
  const [error, setError] = useState("");

  useEffect(() => {
    if (!awaitsReply) return;
    const timer = setInterval(() => router.refresh(), 500);
    return () => clearInterval(timer);
  }, [awaitsReply, router]);

  async function send(form: FormData) {
    try {
      await post(`/api/conversations/${conversation}/messages`, { body: form.get("body") });
      setError("");
      router.refresh();
    } catch (problem) {
      setError((problem as Error).message);
    }
  }

  return (
    <form action={send} className="send">
      <input name="body" aria-label="Message" placeholder="Say something" maxLength={4000} required autoFocus />
      <button>Send</button>
      {error && <p role="alert">{error}</p>}
    </form>
  );
}
