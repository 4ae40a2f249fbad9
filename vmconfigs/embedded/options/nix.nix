# nix.settings and /etc/nix/nix.conf, as NixOS writes it (nix.conf(5)).
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.nix;

  # What a machine offers to derivations with requiredSystemFeatures.
  ownFeatures = [
    "nixos-test"
    "benchmark"
    "big-parallel"
    "kvm"
  ];

  # Names of before 22.05, which NixOS still takes with a warning.
  formerNames = {
    useSandbox = "sandbox";
    buildCores = "cores";
    maxJobs = "max-jobs";
    sandboxPaths = "extra-sandbox-paths";
    binaryCaches = "substituters";
    trustedBinaryCaches = "trusted-substituters";
    binaryCachePublicKeys = "trusted-public-keys";
    autoOptimiseStore = "auto-optimise-store";
    requireSignedBinaryCaches = "require-sigs";
    trustedUsers = "trusted-users";
    allowedUsers = "allowed-users";
    systemFeatures = "system-features";
  };

  renamed =
    sinceRelease: from: to:
    lib.mkRenamedOptionModuleWith {
      inherit sinceRelease;
      from = [ "nix" ] ++ from;
      to = [ "nix" ] ++ to;
    };

  atom =
    types.nullOr (
      types.oneOf [
        types.bool
        types.int
        types.float
        types.str
        types.path
        types.package
      ]
    )
    // {
      description = "Nix config atom (null, bool, int, float, str, path or package)";
    };

  listOfStr =
    description: attrs:
    mkOption (
      {
        type = types.listOf types.str;
        inherit description;
      }
      // attrs
    );

  known = {
    max-jobs = mkOption {
      type = types.either types.int (types.enum [ "auto" ]);
      default = "auto";
      description = "How many builds run at a time; `auto` is one a core, 0 none on this machine.";
    };
    auto-optimise-store = mkOption {
      type = types.bool;
      default = false;
      description = "Whether equal files in the store become hard links as they arrive.";
    };
    cores = mkOption {
      type = types.int;
      default = 0;
      description = "How many cores one build may use (`NIX_BUILD_CORES`); 0 is all of them.";
    };
    sandbox = mkOption {
      type = types.either types.bool (types.enum [ "relaxed" ]);
      default = true;
      description = "Whether builds see only their inputs; `relaxed` exempts those with `__noChroot`.";
    };
    extra-sandbox-paths = listOfStr "What of the host is visible in the sandbox." { default = [ ]; };
    substituters = listOfStr "URLs of binary caches, in the order they are asked." { };
    trusted-substituters = listOfStr "Caches that untrusted users may name as well." { default = [ ]; };
    require-sigs = mkOption {
      type = types.bool;
      default = true;
      description = "Whether a path from a cache needs the signature of a trusted key.";
    };
    trusted-public-keys = listOfStr "Keys whose signatures count." { };
    trusted-users = listOfStr "Users, and `@groups`, who may import unsigned paths and change settings." { };
    system-features = listOfStr "What this machine offers to derivations that require a feature." {
      default = ownFeatures;
    };
    allowed-users = listOfStr "Users, and `@groups`, who may talk to the daemon." { default = [ "*" ]; };
  };
in
{
  imports = [
    (renamed 2003 [ "useChroot" ] [ "useSandbox" ])
    (renamed 2003 [ "chrootDirs" ] [ "sandboxPaths" ])
  ]
  ++ lib.mapAttrsToList (
    old: new:
    renamed 2205
      [ old ]
      [
        "settings"
        new
      ]
  ) formerNames;

  options.nix = {
    checkConfig = mkOption {
      type = types.bool;
      default = true;
      description = "Whether Nix itself reads the file once before it is used.";
    };
    checkAllErrors = mkOption {
      type = types.bool;
      default = true;
      description = "Whether that check minds every error, or unknown settings only.";
    };
    extraOptions = mkOption {
      type = types.lines;
      default = "";
      description = "Text put at the end of {file}`nix.conf`.";
    };
    settings = mkOption {
      type = types.submodule {
        freeformType = types.attrsOf (types.either atom (types.listOf atom));
        options = known;
      };
      default = { };
      description = "The settings of {manpage}`nix.conf(5)`.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.etc."nix/nix.conf".source = pkgs.writeText "nix.conf" (
      import ../text/nix-conf.nix { inherit lib; } { inherit (cfg) settings extraOptions; }
    );
    nix.settings = {
      trusted-public-keys = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      trusted-users = [ "root" ];
      substituters = lib.mkAfter [ "https://cache.nixos.org/" ];
      system-features = ownFeatures;
    };
  };
}
