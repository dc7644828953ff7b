import type { NextConfig } from "next";

const commit = process.env.ALLFAST_COMMIT || "unknown";

const config: NextConfig = {
  output: "standalone",
  // Compiled in: what /version answers is what was built, whatever the container's environment says.
  env: { ALLFAST_COMMIT: commit },
  // One commit, one build id; a build that knows no commit gets a random one.
  generateBuildId: () => (commit === "unknown" ? null : commit),
  // No picture goes through next/image, so its native library stays out of the image.
  images: { unoptimized: true },
  outputFileTracingExcludes: { "*": ["node_modules/sharp/**", "node_modules/@img/**"] },
  poweredByHeader: false,
};

export default config;
