// How what the agent says of a speed looks.

export const SPEED_CLASS = { faster: "better", slower: "worse" };
