import { readApi, type Message } from "@/lib/api";
import { MessageForm } from "./message-form";

export default async function ConversationPage({ params }: { params: Promise<{ id: string }> }) {
  const { id } = await params;
  const messages = await readApi<Message[]>(`/api/conversations/${encodeURIComponent(id)}/messages`);
  return (
    <>
      <ol className="messages">
        {messages.map((message) => (
          <li key={message.id} className={message.author}>
            {message.body}
          </li>
        ))}
      </ol>
      <MessageForm conversation={id} awaitsReply={messages.at(-1)?.author === "user"} />
    </>
  );
}
