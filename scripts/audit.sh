#!/usr/bin/env bash
# Reports known vulnerabilities of the pinned packages, and lists the packages of an installation (SBOM).
#   ./scripts/audit.sh
# It asks the vulnerability service of PyPI. It ends with 1 if a package has a known vulnerability, and with 2 if
# one could not be checked. The lists are in build/sbom, as CycloneDX, also then.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/python.sh
show_help "$@"
prepare requirements.txt

tools=build/audit
if [ ! -x $tools/bin/cyclonedx-py ]; then
    .venv/bin/python -m venv --clear $tools
    $tools/bin/pip install --quiet pip-audit==2.10.1 cyclonedx-bom==7.5.0 ||
        die "pip could not install pip-audit and cyclonedx-bom; see above."
fi

mkdir -p build/sbom
for name in requirements requirements-otel; do
    $tools/bin/python -W ignore -m cyclonedx_py requirements "$name.txt" --pyproject pyproject.toml \
        --output-reproducible --of JSON --output-file "build/sbom/$name.json"
    echo "build/sbom/$name.json lists the packages of $name.txt."
done

# Its own code says 0 also if no package could be checked, so the report is read.
for name in requirements requirements-otel requirements-dev; do
    $tools/bin/pip-audit --disable-pip --require-hashes -r "$name.txt" --format json --progress-spinner off \
        2>"build/sbom/$name.errors" || true
done | .venv/bin/python -m scripts.audit
