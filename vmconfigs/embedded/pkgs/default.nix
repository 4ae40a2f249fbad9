# `pkgs` of a machine that has no nixpkgs: the packages it knows, the builders
# of texts, and nixpkgs' usual names around them.
{
  lib,
  overlays ? [ ],
  config ? { },
}:
let
  store = import ./store.nix { inherit lib; };
  packages = import ./packages.nix { inherit lib store; };
  builders = import ./builders.nix {
    inherit lib store;
    runtimeShell = "${packages.bashNonInteractive}/bin/bash";
  };
  formats = import ./formats.nix { inherit lib builders; };

  platform = {
    system = "x86_64-linux";
    config = "x86_64-unknown-linux-gnu";
    isLinux = true;
    isDarwin = false;
    isx86_64 = true;
    isx86 = true;
    isAarch64 = false;
    isAarch32 = false;
    isAarch = false;
    is64bit = true;
    is32bit = false;
    isi686 = false;
    isRiscV = false;
    isGnu = true;
    isMusl = false;
    isEfi = true;
    isStatic = false;
    isLittleEndian = true;
    isBigEndian = false;
    linuxArch = "x86_64";
    gcc = { };
    parsed = {
      cpu.name = "x86_64";
      kernel.name = "linux";
    };
    rust.rustcTarget = "x86_64-unknown-linux-gnu";
    uname = {
      system = "Linux";
      processor = "x86_64";
    };
  };

  # Overlays are plain fixed-point extensions, as in nixpkgs.
  base =
    final:
    packages
    // builtins.removeAttrs builders [ "mkDerivation" "derivation" "unbuildable" ]
    // {
      inherit lib config formats;
      # The guest's own: what renders a configuration reads the store by it.
      embedded = { inherit store packages; };
      pkgs = final;
      system = platform.system;
      hostPlatform = platform;
      buildPlatform = platform;
      targetPlatform = platform;
      buildPackages = final;
      targetPackages = final;
      pkgsBuildBuild = final;
      pkgsBuildHost = final;
      stdenv = {
        name = "stdenv-linux";
        hostPlatform = platform;
        buildPlatform = platform;
        targetPlatform = platform;
        isLinux = true;
        isDarwin = false;
        isx86_64 = true;
        isAarch64 = false;
        system = platform.system;
        shell = final.runtimeShell;
        cc = {
          isGNU = true;
          isClang = false;
          libc = packages.glibc;
          cc = packages.gcc;
        };
        inherit (builders) mkDerivation;
      };
      stdenvNoCC = final.stdenv;
      writers = {
        writeBash = builders.writeShellScript;
        writeBashBin = builders.writeShellScriptBin;
        writeText = builders.writeText;
        writeDash = name: text: builders.writeScript name "#!${packages.dash}/bin/dash\n\n${text}";
        writeDashBin = name: text: builders.writeScriptBin name "#!${packages.dash}/bin/dash\n\n${text}";
        writeJSON = name: value: (formats.json { }).generate name value;
        writeYAML = name: value: (formats.yaml { }).generate name value;
        writeTOML = name: value: (formats.toml { }).generate name value;
      };
      bashNonInteractive = packages.bashNonInteractive;
      appendOverlays = more: extend (overlays ++ more);
      extend = more: extend (overlays ++ [ more ]);
      callPackage = callPackageWith final;
      callPackages = callPackageWith final;
      newScope = extra: callPackageWith (final // extra);
      linuxPackages = linuxPackages final;
      linuxPackages_latest = linuxPackages final;
      linuxPackagesFor = _: linuxPackages final;
      linux = (linuxPackages final).kernel;
      nixVersions = {
        stable = final.nix;
        latest = final.nix;
        nix_2_26 = final.nix;
      };
      nixPackages = final.nixVersions;
      libxcrypt.enabledCryptSchemeIds = [
        "y"
        "gy"
        "7"
        "2b"
        "2y"
        "2a"
        "6"
      ];
      nixosTest = throw "pkgs.nixosTest: the embedded guest has no nixpkgs; use the guest `nixos'";
    };

  linuxPackages = final: rec {
    kernel = (import ./tables/kernel.nix) {
      inherit lib;
      inherit (builders) derivation;
    };
    kernelOlder = lib.versionOlder kernel.version;
    kernelAtLeast = lib.versionAtLeast kernel.version;
    extend = _: linuxPackages final;
    cpupower = final.linuxCpupower;
    recurseForDerivations = true;
  };

  callPackageWith =
    scope: fn: args:
    let
      f = if lib.isFunction fn then fn else import fn;
    in
    f (builtins.intersectAttrs (lib.functionArgs f) scope // args);

  extend = all: lib.fix (lib.foldl' (lib.flip lib.extends) base all);
in
extend overlays
