# nixpkgs' trivial builders: the ones that write text, and joins of packages.
# What would have to run a build is an error that says so, and only when the
# result is really used.
{
  lib,
  store,
  runtimeShell,
}:
let
  # An attribute set that Nix and `lib` take for a derivation.
  # files: see store.object; a path in the object -> text or link.
  derivation =
    {
      name,
      files,
      meta ? { },
      passthru ? { },
      pname ? null,
      version ? null,
    }@args:
    let
      self =
        passthru
        // {
          type = "derivation";
          inherit name meta passthru;
          outPath = store.object name files;
          drvPath = throw "${name}: a text of the embedded guest has no build plan (drvPath)";
          outputs = [ "out" ];
          outputName = "out";
          out = self;
          all = [ self ];
          system = "x86_64-linux";
          overrideAttrs =
            change:
            let
              first = change args;
              changed = if lib.isFunction first then change args args else first;
            in
            derivation (args // builtins.intersectAttrs (lib.functionArgs derivation) changed);
        }
        // lib.optionalAttrs (pname != null) { inherit pname; }
        // lib.optionalAttrs (version != null) { inherit version; };
    in
    self;

  unbuildable =
    what: name:
    let
      refuse = throw ''
        The package `${name}' comes from ${what}: the embedded guest has no nixpkgs and cannot build packages during an evaluation.
        Use a text writer (pkgs.writeText, pkgs.writeShellScriptBin, pkgs.writeShellApplication, pkgs.symlinkJoin), or test with the guest `nixos'.'';
      self = {
        type = "derivation";
        inherit name;
        pname = lib.getName { inherit name; };
        outPath = refuse;
        drvPath = refuse;
        outputs = [ "out" ];
        out = self;
        meta = { };
        passthru = { };
        overrideAttrs = _: self;
        override = _: self;
      };
    in
    self;

  nameOf = args: args.name or "${args.pname or "unnamed"}-${args.version or "0"}";

  # Links to everything below the parts; a part that comes first wins.
  joined =
    {
      name,
      paths,
      pathsToLink ? [ "/" ],
      meta ? { },
      passthru ? { },
      pname ? null,
      version ? null,
      ...
    }:
    let
      wanted =
        sub: lib.any (p: p == "/" || sub == p || lib.hasPrefix "${p}/" sub) (map toString pathsToLink);
      linksOf =
        part:
        let
          root = toString part;
          programs = lib.mapAttrs' (n: _: lib.nameValuePair "/bin/${n}" { target = "${root}/bin/${n}"; }) (
            part.programs or { }
          );
          plainRoot = builtins.unsafeDiscardStringContext root;
          texts = lib.mapAttrs' (
            path: _:
            let
              sub = lib.removePrefix plainRoot path;
            in
            lib.nameValuePair sub { target = "${root}${sub}"; }
          ) (lib.filterAttrs (path: _: lib.hasPrefix "${plainRoot}/" path) (store.contents root));
        in
        programs // texts;
      files = lib.foldl' (all: part: linksOf part // all) { } (lib.flatten paths);
    in
    derivation {
      inherit
        name
        meta
        passthru
        pname
        version
        ;
      files = lib.filterAttrs (sub: _: wanted sub) files;
    };

  textOf =
    file:
    let
      text = store.textAt "${file}";
    in
    if text == null then throw "${toString file} is no text file" else text;
in
rec {
  inherit derivation unbuildable runtimeShell;

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      meta ? { },
      passthru ? { },
      derivationArgs ? { },
      ...
    }:
    assert
      (destination != "" -> (lib.hasPrefix "/" destination && destination != "/"))
      || throw "destination must be an absolute path, relative to the derivation's out path, got '${destination}' instead.";
    let
      program = builtins.match "/bin/([^/]+)" destination;
    in
    derivation {
      inherit name;
      files.${destination} = {
        text = "${text}";
        executable = executable == true || executable == "1";
      };
      meta =
        lib.optionalAttrs (executable && program != null) { mainProgram = lib.head program; }
        // meta
        // derivationArgs.meta or { };
      passthru = passthru // derivationArgs.passthru or { };
    };

  writeText = name: text: writeTextFile { inherit name text; };

  writeTextDir =
    path: text:
    writeTextFile {
      inherit text;
      name = baseNameOf path;
      destination = "/${path}";
    };

  writeScript =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
    };

  writeScriptBin =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
      destination = "/bin/${name}";
    };

  writeShellScript = name: text: writeScript name "#!${runtimeShell}\n${text}\n";

  writeShellScriptBin = name: text: writeScriptBin name "#!${runtimeShell}\n${text}\n";

  # The shell check of nixpkgs belongs to its build; here nothing runs.
  writeShellApplication =
    {
      name,
      text,
      runtimeInputs ? [ ],
      runtimeEnv ? null,
      meta ? { },
      passthru ? { },
      bashOptions ? [
        "errexit"
        "nounset"
        "pipefail"
      ],
      derivationArgs ? { },
      inheritPath ? true,
      checkPhase ? null,
      excludeShellChecks ? [ ],
      extraShellCheckFlags ? [ ],
    }:
    let
      path =
        lib.optional (runtimeInputs != [ ]) (lib.makeBinPath runtimeInputs)
        ++ lib.optional inheritPath "$PATH";
      exports = lib.mapAttrsToList (n: v: "${lib.toShellVar n v}\nexport ${n}\n") (
        if runtimeEnv == null then { } else runtimeEnv
      );
    in
    writeTextFile {
      inherit
        name
        meta
        passthru
        derivationArgs
        ;
      executable = true;
      destination = "/bin/${name}";
      text =
        "#!${runtimeShell}\n"
        + lib.concatMapStringsSep "\n" (option: "set -o ${option}") bashOptions
        + "\n"
        + lib.concatStrings exports
        + "\nexport PATH=\"${lib.concatStringsSep ":" path}\"\n"
        + "\n${text}\n";
    };

  # Files of the evaluation, made or copied, one after the other.
  concatText = name: files: writeText name (lib.concatMapStrings textOf files);
  concatScript = name: files: writeScript name (lib.concatMapStrings textOf files);

  replaceVars =
    src: replacements:
    let
      given = lib.filterAttrs (_: v: v != null) replacements;
    in
    writeText (baseNameOf (toString src)) (
      lib.replaceStrings (map (n: "@${n}@") (lib.attrNames given)) (map toString (
        lib.attrValues given
      )) (builtins.readFile src)
    );

  symlinkJoin =
    args:
    joined (
      args
      // {
        name = nameOf args;
        paths = args.paths or [ ];
      }
    );
  buildEnv = args: joined (args // { name = nameOf args; });

  linkFarm =
    name: entries:
    derivation {
      inherit name;
      files = lib.listToAttrs (
        map (e: lib.nameValuePair "/${e.name}" { target = toString e.path; }) (
          if lib.isAttrs entries then
            lib.mapAttrsToList (n: path: {
              name = n;
              inherit path;
            }) entries
          else
            entries
        )
      );
    };
  linkFarmFromDrvs = name: drvs: linkFarm name (map (d: { inherit (d) name; path = d; }) drvs);

  emptyFile = writeText "empty-file" "";
  emptyDirectory = linkFarm "empty-directory" [ ];

  runCommand = name: _: _: unbuildable "pkgs.runCommand" name;
  runCommandLocal = name: _: _: unbuildable "pkgs.runCommandLocal" name;
  runCommandCC = name: _: _: unbuildable "pkgs.runCommandCC" name;
  runCommandWith = args: _: unbuildable "pkgs.runCommandWith" (nameOf args);
  mkDerivation =
    args: unbuildable "stdenv.mkDerivation" (nameOf (if lib.isFunction args then lib.fix args else args));
  buildGoModule = args: unbuildable "pkgs.buildGoModule" (nameOf args);
  fetchurl = args: unbuildable "pkgs.fetchurl" (args.name or (baseNameOf (args.url or "source")));
  fetchzip = args: unbuildable "pkgs.fetchzip" (args.name or "source");
  fetchgit = args: unbuildable "pkgs.fetchgit" (args.name or "source");
  fetchFromGitHub = args: unbuildable "pkgs.fetchFromGitHub" (args.name or args.repo or "source");
  writeCBin = name: _: unbuildable "pkgs.writeCBin" name;
  writePython3Bin = name: _: _: unbuildable "pkgs.writePython3Bin" name;
  writePython3 = name: _: _: unbuildable "pkgs.writePython3" name;
}
