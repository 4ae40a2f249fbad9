# Packages by name. Each is a directory of links to programs of the guest's
# Debian, made at switch time; its name and version are those of nixpkgs 26.11,
# so that what a configuration renders is named as on NixOS.
#
# Columns of the tables: pname, version, Debian's package, programs.
# A program is `name` (in /usr/bin), `sbin/name` (in /usr/sbin) or `name=/path`;
# `!` marks the one that `lib.getExe` means.
{ lib, store }:
let
  parseProgram =
    word:
    let
      parts = lib.splitString "=" word;
      head = lib.head parts;
      main = lib.hasSuffix "!" head;
      local = lib.removeSuffix "!" head;
      name = lib.removePrefix "sbin/" local;
    in
    {
      inherit name main;
      value =
        if lib.length parts > 1 then
          lib.elemAt parts 1
        else if lib.hasPrefix "sbin/" local then
          "/usr/sbin/${name}"
        else
          "/usr/bin/${name}";
    };

  outputNames = [
    "out"
    "bin"
    "dev"
    "lib"
    "man"
    "doc"
    "info"
    "terminfo"
  ];

  mkPackage =
    pname: version: debian: programs:
    let
      parsed = map parseProgram (lib.filter (w: w != "") (lib.splitString " " programs));
      name = "${pname}-${version}";
      main = lib.findFirst (x: x.main) null parsed;
      self = make { };
      make =
        change:
        let
          # One directory holds what nixpkgs splits into outputs.
          outputs = lib.genAttrs outputNames (_: result);
          result =
            outputs
            // {
              type = "derivation";
              inherit name pname version;
              outPath = store.path name "debian ${debian} ${programs}";
              drvPath = throw "${name}: a package of the embedded guest has no build plan (drvPath)";
              outputs = [ "out" ];
              outputName = "out";
              all = [ result ];
              system = "x86_64-linux";
              programs = lib.listToAttrs (map (x: lib.nameValuePair x.name x.value) parsed);
              inherit debian;
              meta = {
                description = "Debian's ${debian}";
                available = true;
              }
              // lib.optionalAttrs (main != null) { mainProgram = main.name; };
              passthru = { };
              # Another build of a package cannot be had; the program is the same.
              override = _: self;
              overrideAttrs = _: self;
              overrideDerivation = _: self;
            }
            // change;
        in
        result;
    in
    make { };

  shell = path: package: package // { shellPath = path; passthru.shellPath = path; };

  base = import ./tables/base.nix mkPackage;
  network = import ./tables/network.nix mkPackage;
  tools = import ./tables/tools.nix mkPackage;

  # NixOS's systemd has abilities that its modules ask for.
  systemdAbilities = lib.genAttrs [
    "withBootloader"
    "withCoredump"
    "withHostnamed"
    "withImportd"
    "withLocaled"
    "withLogind"
    "withMachined"
    "withNetworkd"
    "withNspawn"
    "withOomd"
    "withPortabled"
    "withResolved"
    "withTimedated"
    "withTimesyncd"
    "withTpm2Units"
    "withUtmp"
  ] (_: true);

  python =
    package:
    package
    // {
      interpreter = "${package}/bin/python3.13";
      pythonVersion = "3.13";
      sitePackages = "lib/python3.13/site-packages";
    };

  packages = base // network // tools;
in
packages
// {
  bash = shell "/bin/bash" packages.bash;
  bashInteractive = shell "/bin/bash" packages.bashInteractive;
  bashNonInteractive = shell "/bin/bash" packages.bashNonInteractive;
  dash = shell "/bin/dash" packages.dash;
  fish = shell "/bin/fish" packages.fish;
  shadow = shell "/bin/nologin" packages.shadow;
  zsh = shell "/bin/zsh" packages.zsh;
  python3 = python packages.python3;
  python3Minimal = python packages.python3Minimal;
  python313 = python packages.python313;
  systemd =
    packages.systemd
    // systemdAbilities
    // {
      inherit (packages) kmod util-linux;
      kbd = packages.kbd;
    };
  tzdata = packages.tzdata;
}
