# nixpkgs.*: nixos/modules/misc/nixpkgs.nix. `pkgs` is the guest's own set;
# overlays extend it, the rest is accepted.
{
  config,
  lib,
  options,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.nixpkgs;

  overlay = lib.mkOptionType {
    name = "nixpkgs-overlay";
    description = "nixpkgs overlay";
    check = lib.isFunction;
    merge = lib.mergeOneOption;
  };

  settings = lib.mkOptionType {
    name = "nixpkgs-config";
    description = "nixpkgs config";
    check = x: lib.isAttrs x || lib.isFunction x;
    merge = _: defs: lib.foldr (def: lib.recursiveUpdate (call def.value)) { } defs;
  };
  call = value: if lib.isFunction value then value { inherit lib; pkgs = final; } else value;

  # Only one kind of machine can be a guest.
  platform = types.either types.str types.attrs;
  elaborate =
    value:
    let
      system = if lib.isAttrs value then value.system or "x86_64-linux" else value;
    in
    if system == "x86_64-linux" then
      final.hostPlatform
    else
      throw "nixpkgs.hostPlatform is `${system}': the embedded guest is an x86_64-linux machine; test with the guest `nixos'";

  overlays =
    lib.optional (cfg.config ? packageOverrides) (_: prev: cfg.config.packageOverrides prev)
    ++ cfg.overlays;

  final =
    if options.nixpkgs.pkgs.isDefined then
      cfg.pkgs.appendOverlays cfg.overlays
    else
      import ../pkgs {
        inherit lib overlays;
        config = cfg.config;
      };
in
{
  options.nixpkgs = {
    pkgs = mkOption {
      type = types.pkgs;
      description = "A package set to use instead.";
    };
    config = mkOption {
      type = settings;
      default = { };
      description = "Settings of nixpkgs.";
    };
    overlays = mkOption {
      type = types.listOf overlay;
      default = [ ];
      description = "Changes to the packages.";
    };
    hostPlatform = mkOption {
      type = platform;
      apply = elaborate;
      description = "What the machine is.";
    };
    buildPlatform = mkOption {
      type = platform;
      default = cfg.hostPlatform;
      apply = elaborate;
      description = "What packages are built on.";
    };
    localSystem = mkOption {
      type = types.attrs;
      default.system = "x86_64-linux";
      description = "Old name of hostPlatform.";
    };
    crossSystem = mkOption {
      type = types.nullOr types.attrs;
      default = null;
      description = "Old name of hostPlatform.";
    };
    system = mkOption {
      type = types.str;
      default = "x86_64-linux";
      description = "Old name of hostPlatform.";
    };
    flake = {
      source = mkOption {
        type = types.nullOr (types.either types.str types.path);
        default = null;
        description = "Where this nixpkgs comes from.";
      };
      setNixPath = mkOption {
        type = types.bool;
        default = false;
        description = "Whether <nixpkgs> is that one.";
      };
      setFlakeRegistry = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the flake `nixpkgs` is that one.";
      };
    };
  };

  config._module.args.pkgs = lib.mkOverride lib.modules.defaultOverridePriority final;
}
