import type { ReactNode } from "react";

import { readApi, type Conversation } from "@/lib/api";
import { HistoryLink, LogoutButton, NewConversationButton } from "./menu";

export default async function ConversationsLayout({ children }: { children: ReactNode }) {
  const conversations = await readApi<Conversation[]>("/api/conversations");
  return (
    <div className="app">
      <nav aria-label="History">
        <NewConversationButton />
        <ul>
          {conversations.map((conversation) => (
            <li key={conversation.id}>
              <HistoryLink {...conversation} />
            </li>
          ))}
        </ul>
        <LogoutButton />
      </nav>
      <main>{children}</main>
    </div>
  );
}
