CREATE TABLE conversations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    title text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX conversations_of_user ON conversations (user_id);

CREATE TABLE messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
    author text NOT NULL CHECK (author IN ('user', 'worker')),
    body text NOT NULL,
    answers bigint UNIQUE REFERENCES messages ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((author = 'worker') = (answers IS NOT NULL))
);

CREATE INDEX messages_of_conversation ON messages (conversation_id, id);
