export const tagline = "Small talk, delivered fast.";
