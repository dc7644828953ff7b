import { tagline } from "../tagline";
import { LoginForm } from "./login-form";

export default function LoginPage() {
  return (
    <main className="login">
      <h1>Chat</h1>
      <p className="tagline">{tagline}</p>
      <LoginForm />
    </main>
  );
}
