# Systems: "x86_64-linux" and what follows from it.
{ lib }:
let
  inherit (builtins)
    elem
    elemAt
    filter
    isString
    match
    ;
  inherit (lib.strings) hasPrefix splitString;

  # cpu -> bits, byte order, family, and its names elsewhere.
  cpu = bits: family: linuxArch: qemuArch: {
    inherit bits family linuxArch qemuArch;
    significantByte.name = "littleEndian";
  };
  cpus = {
    x86_64 = cpu 64 "x86" "x86_64" "x86_64";
    i686 = cpu 32 "x86" "i386" "i386";
    aarch64 = cpu 64 "arm" "arm64" "aarch64";
    armv6l = cpu 32 "arm" "arm" "arm";
    armv7l = cpu 32 "arm" "arm" "arm";
    riscv64 = cpu 64 "riscv" "riscv" "riscv64";
    powerpc64le = cpu 64 "power" "powerpc" "ppc64le";
    loongarch64 = cpu 64 "loongarch" "loongarch" "loongarch64";
    s390x = cpu 64 "s390" "s390" "s390x" // {
      significantByte.name = "bigEndian";
    };
  };
  doublesOf = kernel: map (name: "${name}-${kernel}") (builtins.attrNames cpus);
  linux = doublesOf "linux";
  darwin = [
    "x86_64-darwin"
    "aarch64-darwin"
  ];
  all = linux ++ darwin ++ [ "x86_64-freebsd" ];
  thatAre = prefix: filter (hasPrefix prefix) all;
in
rec {
  flakeExposed = [
    "x86_64-linux"
    "aarch64-linux"
    "x86_64-darwin"
    "armv6l-linux"
    "armv7l-linux"
    "i686-linux"
    "aarch64-darwin"
    "powerpc64le-linux"
    "riscv64-linux"
    "x86_64-freebsd"
  ];
  # Lists of systems, for meta.platforms.
  doubles = {
    inherit all linux darwin;
    unix = all;
    gnu = linux;
    freebsd = [ "x86_64-freebsd" ];
    x86_64 = thatAre "x86_64-";
    i686 = thatAre "i686-";
    x86 = thatAre "x86_64-" ++ thatAre "i686-";
    aarch64 = thatAre "aarch64-";
    arm = thatAre "armv";
    riscv64 = thatAre "riscv64-";
    none = [ ];
    windows = [ ];
  };

  # A platform from a system, or from a set that names one.
  elaborate =
    given:
    let
      args = if isString given then { system = given; } else given;
      parts = splitString "-" (args.system or args.config);
      cpuName = elemAt parts 0;
      kernel = if elem "darwin" parts then "darwin" else lib.lists.findFirst (p: elem p [ "linux" "freebsd" ]) "linux" parts;
      info =
        cpus.${cpuName} or (throw "lib.systems.elaborate: the system ${toString (args.system or args.config)} has an unknown processor ${cpuName}");
      isLinux = kernel == "linux";
      isDarwin = kernel == "darwin";
      abi = if isLinux then (if hasPrefix "armv" cpuName then "gnueabihf" else "gnu") else "";
      self = {
        system = "${cpuName}-${kernel}";
        config =
          if isLinux then
            "${cpuName}-unknown-linux-${abi}"
          else if isDarwin then
            "${cpuName}-apple-darwin"
          else
            "${cpuName}-unknown-${kernel}";
        parsed = {
          _type = "system";
          cpu = {
            name = cpuName;
            inherit (info) bits family significantByte;
          };
          kernel.name = kernel;
          vendor.name = if isDarwin then "apple" else "unknown";
          abi.name = abi;
        };
        inherit (info) linuxArch qemuArch;
        libc = if isLinux then "glibc" else "libSystem";
        is64bit = info.bits == 64;
        is32bit = info.bits == 32;
        isLittleEndian = info.significantByte.name == "littleEndian";
        isBigEndian = info.significantByte.name == "bigEndian";
        inherit isLinux isDarwin;
        isUnix = true;
        isFreeBSD = kernel == "freebsd";
        isBSD = kernel == "freebsd";
        isWindows = false;
        isGnu = isLinux;
        isMusl = false;
        isStatic = false;
        isx86 = info.family == "x86";
        isx86_64 = cpuName == "x86_64";
        isx86_32 = cpuName == "i686";
        isi686 = cpuName == "i686";
        isAarch = info.family == "arm";
        isAarch32 = info.family == "arm" && info.bits == 32;
        isAarch64 = cpuName == "aarch64";
        isRiscV = info.family == "riscv";
        isRiscV64 = cpuName == "riscv64";
        isPower = info.family == "power";
        isPower64 = info.family == "power";
        isLoongArch64 = cpuName == "loongarch64";
        isS390 = info.family == "s390";
        isS390x = cpuName == "s390x";
        isEfi = elem info.family [
          "x86"
          "arm"
          "riscv"
        ];
        darwinArch = if isDarwin && cpuName == "aarch64" then "arm64" else cpuName;
        gcc = { };
        uname = {
          system = if isDarwin then "Darwin" else if isLinux then "Linux" else "FreeBSD";
          processor = cpuName;
          release = null;
        };
        extensions = {
          sharedLibrary = if isDarwin then ".dylib" else ".so";
          staticLibrary = ".a";
          library = self.extensions.sharedLibrary;
          executable = "";
        };
        canExecute = other: other.system or null == self.system;
        emulatorAvailable = _: false;
      }
      // args;
    in
    self;

  # Same platform? Functions do not count.
  equals =
    a: b:
    let
      plain = lib.attrsets.filterAttrs (_: v: !lib.trivial.isFunction v);
    in
    plain a == plain b;
  toLosslessStringMaybe =
    platform: if isString platform then platform else platform.system or null;
  systemToAttrs = system: if isString system then { inherit system; } else system;
  examples = {
    gnu64.config = "x86_64-unknown-linux-gnu";
    gnu32.config = "i686-unknown-linux-gnu";
    aarch64-multiplatform.config = "aarch64-unknown-linux-gnu";
    riscv64.config = "riscv64-unknown-linux-gnu";
  };
  supported.hydra = doubles.linux;
  parse.isSystem = value: value._type or null == "system" || (isString value && match "[^-]+-.+" value != null);
  inspect.patterns = {
    isLinux.kernel.name = "linux";
    isDarwin.kernel.name = "darwin";
  };
}
