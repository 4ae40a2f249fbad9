# Licences a package is likely to have, by their SPDX identifiers
# (https://spdx.org/licenses).
{ lib }:
let
  free = fullName: spdxId: { inherit fullName spdxId; };
  unfree = fullName: {
    inherit fullName;
    free = false;
    redistributable = false;
  };
in
builtins.mapAttrs
  (
    shortName: license:
    {
      inherit shortName;
      free = true;
      redistributable = true;
      deprecated = false;
    }
    // lib.attrsets.optionalAttrs (license ? spdxId) {
      url = "https://spdx.org/licenses/${license.spdxId}.html";
    }
    // license
  )
  {
    afl3 = free "Academic Free License v3.0" "AFL-3.0";
    agpl3Only = free "GNU Affero General Public License v3.0 only" "AGPL-3.0-only";
    agpl3Plus = free "GNU Affero General Public License v3.0 or later" "AGPL-3.0-or-later";
    artistic2 = free "Artistic License 2.0" "Artistic-2.0";
    asl20 = free "Apache License 2.0" "Apache-2.0";
    boost = free "Boost Software License 1.0" "BSL-1.0";
    bsd0 = free "BSD Zero Clause License" "0BSD";
    bsd2 = free ''BSD 2-clause "Simplified" License'' "BSD-2-Clause";
    bsd3 = free ''BSD 3-clause "New" or "Revised" License'' "BSD-3-Clause";
    cc-by-40 = free "Creative Commons Attribution 4.0" "CC-BY-4.0";
    cc-by-sa-40 = free "Creative Commons Attribution Share Alike 4.0" "CC-BY-SA-4.0";
    cc0 = free "Creative Commons Zero v1.0 Universal" "CC0-1.0";
    cddl = free "Common Development and Distribution License 1.0" "CDDL-1.0";
    epl20 = free "Eclipse Public License 2.0" "EPL-2.0";
    eupl12 = free "European Union Public License 1.2" "EUPL-1.2";
    fdl13Plus = free "GNU Free Documentation License v1.3 or later" "GFDL-1.3-or-later";
    free = {
      fullName = "Unspecified free software license";
    };
    gpl2 = free "GNU General Public License v2.0" "GPL-2.0" // {
      deprecated = true;
    };
    gpl2Only = free "GNU General Public License v2.0 only" "GPL-2.0-only";
    gpl2Plus = free "GNU General Public License v2.0 or later" "GPL-2.0-or-later";
    gpl3 = free "GNU General Public License v3.0" "GPL-3.0" // {
      deprecated = true;
    };
    gpl3Only = free "GNU General Public License v3.0 only" "GPL-3.0-only";
    gpl3Plus = free "GNU General Public License v3.0 or later" "GPL-3.0-or-later";
    isc = free "ISC License" "ISC";
    lgpl2Only = free "GNU Library General Public License v2 only" "LGPL-2.0-only";
    lgpl2Plus = free "GNU Library General Public License v2 or later" "LGPL-2.0-or-later";
    lgpl21Only = free "GNU Lesser General Public License v2.1 only" "LGPL-2.1-only";
    lgpl21Plus = free "GNU Lesser General Public License v2.1 or later" "LGPL-2.1-or-later";
    lgpl3Only = free "GNU Lesser General Public License v3.0 only" "LGPL-3.0-only";
    lgpl3Plus = free "GNU Lesser General Public License v3.0 or later" "LGPL-3.0-or-later";
    mit = free "MIT License" "MIT";
    mit0 = free "MIT No Attribution" "MIT-0";
    mpl20 = free "Mozilla Public License 2.0" "MPL-2.0";
    ofl = free "SIL Open Font License 1.1" "OFL-1.1";
    postgresql = free "PostgreSQL License" "PostgreSQL";
    psfl = free "Python Software Foundation License version 2" "Python-2.0";
    publicDomain = {
      fullName = "Public Domain";
    };
    unfree = unfree "Unfree";
    unfreeRedistributable = unfree "Unfree redistributable" // {
      redistributable = true;
    };
    unlicense = free "The Unlicense" "Unlicense";
    vim = free "Vim License" "Vim";
    wtfpl = free "Do What The F*ck You Want To Public License" "WTFPL";
    zlib = free "zlib License" "Zlib";
  }
