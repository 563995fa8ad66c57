// How the speeds that the agent reports look.

export const SPEED_CLASS = { faster: "better", slower: "worse" };
