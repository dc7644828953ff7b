"use client";

import { useRouter } from "next/navigation";
import { useState } from "react";

import { post } from "@/lib/post";

export function LoginForm() {
  const router = useRouter();
  const [error, setError] = useState("");

  async function login(form: FormData) {
    try {
      await post("/api/login", { user: form.get("user"), password: form.get("password") });
      router.push("/conversations");
    } catch (problem) {
      setError((problem as Error).message);
    }
  }

  return (
    <form action={login}>
      <label>
        Name
        <input name="user" autoComplete="username" defaultValue="demo" required />
      </label>
      <label>
        Password
        <input name="password" type="password" autoComplete="current-password" required autoFocus />
      </label>
      <button>Log in</button>
      {error && <p role="alert">{error}</p>}
    </form>
  );
}
