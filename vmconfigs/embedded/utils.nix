# The module argument `utils`, as NixOS's modules know it.
{
  config,
  lib,
  pkgs,
}:
let
  special = lib.stringToCharacters " !\"#$%&'()*+,;<=>?@[\\]^`{|}~-";

  # Drops empty and "." components, and a ".." where it can only mean the root.
  simplify =
    path:
    let
      isAbsolute = lib.hasPrefix "/" path;
      refuse = throw "escapeSystemdPath: ${path} is not a normalized path";
      step =
        done: part:
        if part != ".." then
          done ++ [ part ]
        else if isAbsolute && done == [ ] then
          done
        else
          refuse;
      parts = lib.foldl' step [ ] (
        lib.filter (c: c != "" && c != ".") (lib.splitString "/" path)
      );
    in
    if parts != [ ] then
      lib.concatStringsSep "/" parts
    else if isAbsolute || path == "" then
      "/"
    else
      refuse;

  unitLib = import ./options/systemd-lib.nix {
    inherit
      config
      lib
      pkgs
      utils
      ;
  };
  unitOptions = import ./options/systemd-unit-options.nix { inherit lib unitLib; };

  utils = rec {
    # systemd-escape --path
    escapeSystemdPath =
      path:
      let
        escaped = lib.strings.escapeC special (simplify path);
        dotted =
          if lib.hasPrefix "." escaped then
            lib.strings.escapeC [ "." ] "." + lib.removePrefix "." escaped
          else
            escaped;
      in
      lib.replaceStrings [ "/" ] [ "-" ] dotted;

    # One argument of an Exec line, systemd.service(5), "Command lines".
    escapeSystemdExecArg =
      arg:
      let
        text =
          if lib.isPath arg then
            "${arg}"
          else if lib.isString arg then
            arg
          else if lib.isInt arg || lib.isFloat arg || lib.isDerivation arg then
            toString arg
          else
            throw "escapeSystemdExecArg only allows strings, paths, numbers and derivations";
      in
      lib.replaceStrings [ "%" "$" ] [ "%%" "$$" ] (builtins.toJSON text);

    escapeSystemdExecArgs = lib.concatMapStringsSep " " escapeSystemdExecArg;

    toShellPath =
      shell:
      if lib.types.shellPackage.check shell then
        "/run/current-system/sw${shell.shellPath}"
      else if lib.types.package.check shell then
        throw "${shell} is not a shell package"
      else
        shell;

    removePackagesByName =
      packages: packagesToRemove:
      let
        names = map lib.getName packagesToRemove;
      in
      lib.filter (p: !lib.elem (lib.getName p) names) packages;

    # What has to be mounted before a later stage; nothing here has stages.
    pathsNeededForBoot = [
      "/"
      "/nix"
      "/nix/store"
      "/var"
      "/var/log"
      "/var/lib"
      "/var/lib/nixos"
      "/etc"
      "/usr"
    ];
    fsNeededForBoot = fs: fs.neededForBoot || lib.elem fs.mountPoint pathsNeededForBoot;

    systemdUtils = {
      lib = unitLib;
      inherit unitOptions;
      types = import ./options/systemd-types.nix {
        inherit
          lib
          pkgs
          unitLib
          unitOptions
          ;
      };
    };
  };
in
utils
