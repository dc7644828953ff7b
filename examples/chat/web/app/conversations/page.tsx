export default function NoConversation() {
  return <p className="empty">Pick a conversation, or begin a new one.</p>;
}
