# Evaluations that must fail, and what must be said. Nix cannot look at the
# text of an error, so lib_test.go evaluates them one by one:
# nix-instantiate --eval --strict errors.nix -A <name>.fails
# Expected: `message`, which must be in the error.
let
  lib = import ./..;
  inherit (import ./eval.nix { inherit lib; })
    mkOption
    option
    optionWith
    types
    ;
  at = _file: module: { inherit _file; } // module;
  config = modules: (lib.evalModules { inherit modules; }).config;
  x =
    type: definitions:
    (config (
      [ { options.x = option type; } ]
      ++ lib.imap1 (n: x: at "/d${toString n}.nix" { inherit x; }) definitions
    )).x;
  ways = "Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.";
in
{
  undefined = {
    fails = config [
      {
        options.services.cache = {
          enable = optionWith types.bool false;
          bindAddress = optionWith types.str "";
          extraParams = optionWith types.str "";
        };
      }
      (at "/a.nix" { services.cache.bindAdress = "0.0.0.0"; })
    ];
    message = ''
      The option `services.cache.bindAdress' does not exist. Definition values:
      - In `/a.nix': "0.0.0.0"

      Did you mean `services.cache.bindAddress', `services.cache.enable' or `services.cache.extraParams'?'';
  };
  # Even where it would not count.
  undefinedUnderFalse = {
    fails = config [
      { options.a = optionWith types.int 1; }
      (at "/a.nix" { b = lib.mkIf false { enable = true; }; })
    ];
    message = ''
      The option `b' does not exist. Definition values:
      - In `/a.nix':
          {
            _type = "if";
            condition = false;
            content = {
              enable = true;
          ...

      Did you mean `a'?'';
  };
  undefinedInSubmodule = {
    fails = x (types.attrsOf (types.submodule { options.speed = optionWith types.int 1; })) [
      { "lan 0".sped = 2; }
    ];
    message = "The option `x.\"lan 0\".sped' does not exist. Definition values:\n- In `/d1.nix': 2\n\nDid you mean `x.\"lan 0\".speed'?";
  };
  optionsInConfig = {
    fails = config [ (at "/a.nix" { config.options.a = 1; }) ];
    message = "It seems as if you're trying to declare an option by placing it into `config' rather than `options'!";
  };
  wrongType = {
    fails = x types.port [ "5000" ];
    message = "A definition for option `x' is not of type `16 bit unsigned integer; between 0 and 65535 (both inclusive)'. Definition values:\n- In `/d1.nix': \"5000\"";
  };
  # Types that check while they merge say so in other words.
  wrongList = {
    fails = x (types.listOf types.int) [ "a" ];
    message = "A definition for option `x' is not of type `list of signed integer'. TypeError: Definition values: \n- In `/d1.nix': \"a\"";
  };
  wrongInList = {
    fails = x (types.listOf (types.submodule { options.speed = option (types.enum [ "slow" "fast" ]); })) [
      [
        { speed = "fast"; }
        { speed = "faster"; }
      ]
    ];
    message = "A definition for option `x.\"[definition 1-entry 2]\".speed' is not of type `one of \"slow\", \"fast\"'. Definition values:\n- In `/d1.nix': \"faster\"";
  };
  conflict = {
    fails = x types.str [
      "no"
      "yes"
    ];
    message = "The option `x' has conflicting definition values:\n- In `/d2.nix': \"yes\"\n- In `/d1.nix': \"no\"\n${ways}";
  };
  unique = {
    fails = x (types.unique { message = "Only one."; } types.int) [
      1
      1
    ];
    message = "The option `x' is defined multiple times while it's expected to be unique.\nOnly one.\nDefinition values:\n- In `/d2.nix': 1\n- In `/d1.nix': 1\n${ways}";
  };
  nullAndNot = {
    fails = x (types.nullOr types.int) [
      null
      1
    ];
    message = "The option `x` is defined both null and not null, in `/d2.nix' and `/d1.nix'.";
  };
  noValue = {
    fails = x types.int [ ];
    message = "The option `x' was accessed but has no value defined. Try setting the option.";
  };
  readOnly = {
    fails =
      (config [
        {
          options.id = mkOption {
            type = types.int;
            readOnly = true;
          };
        }
        (at "/a.nix" { id = 4; })
        (at "/b.nix" { id = 5; })
      ]).id;
    message = "The option `id' is read-only, but it's set multiple times. Definition values:\n- In `/b.nix': 5\n- In `/a.nix': 4";
  };
  declaredTwice = {
    fails = config [
      (at "/a.nix" { options.x = mkOption { default = 1; }; })
      (at "/b.nix" { options.x = mkOption { default = 2; }; })
    ];
    message = "The option `x' in `/a.nix' is already declared in `/b.nix'.";
  };
  notNested = {
    fails = config [
      (at "/a.nix" { options.x = option types.int; })
      (at "/b.nix" { options.x.y = option types.int; })
    ];
    message = "The option `x' in module `/a.nix' would be a parent of the following options, but its type `signed integer' does not support nested options.\n - option(s) with prefix `x.y' in module `/b.nix'";
  };
  bareType = {
    fails = config [ (at "/a.nix" { options.x = types.int; }) ];
    message = "In module /a.nix: expected an option declaration at option path `x` but got an attribute set with type option-type";
  };
  notASet = {
    fails = config [
      { options.a.b = option types.int; }
      (at "/a.nix" { a = 1; })
    ];
    message = "In module `/a.nix', you're trying to define a value of type `int'\nrather than an attribute set for the option\n`a'!";
  };
  unsupportedAttribute = {
    fails = config [
      {
        config = { };
        networking = { };
        services = { };
      }
    ];
    message = "Module `:anon-1' has an unsupported attribute `networking'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them (namely: networking services) into the explicit `config' attribute.";
  };
  removed = {
    fails =
      (config [
        { options.assertions = optionWith types.unspecified [ ]; }
        (lib.mkRemovedOptionModule [ "gone" ] "Use that.")
        { gone = 1; }
      ]).gone;
    message = "The option `gone' can no longer be used since it's been removed. Use that.";
  };
  infinite = {
    fails =
      (config [
        { options.x = optionWith types.int 1; }
        ({ config, ... }: { x = lib.mkIf (config.x == 1) 2; })
      ]).x;
    message = "infinite recursion encountered";
  };
  recursiveImports = {
    fails =
      (config [
        { options.x = optionWith types.int 1; }
        ({ config, ... }: { imports = lib.optional (config.x == 1) { x = 2; }; })
      ]).x;
    message = "infinite recursion encountered";
  };
  nestedImports = {
    fails = config [ (at "/a.nix" { imports = [ [ { } ] ]; }) ];
    message = "Module imports can't be nested lists. Perhaps you meant to remove one level of lists? Definitions: \n- In `/a.nix':";
  };
  missingArgument = {
    fails = config [ ({ surprise, ... }: { x = surprise; }) ];
    message = "attribute 'surprise' missing";
  };
  wrongClass = {
    fails =
      (lib.evalModules {
        class = "nixos";
        modules = [ (at "/a.nix" { _class = "darwin"; }) ];
      }).config;
    message = "The module `/a.nix` (class: \"darwin\") cannot be imported into a module evaluation that expects class \"nixos\".";
  };
  condition = {
    fails = x types.int [ (lib.mkIf "yes" 1) ];
    message = "‘mkIf’ called with a non-Boolean condition";
  };
  assertion = {
    fails = x types.int [ (lib.mkAssert false "it is not" 1) ];
    message = "Failed assertion: it is not";
  };
  assertions = {
    fails = lib.asserts.checkAssertWarn [
      {
        assertion = false;
        message = "one";
      }
      {
        assertion = true;
        message = "two";
      }
      {
        assertion = false;
        message = "three";
      }
    ] [ ] null;
    message = "Failed assertions:\n- one\n- three";
  };
  program = {
    fails = lib.getExe' "/nix/store/x" "y";
    message = "lib.meta.getExe': The first argument is of type string, but it should be a derivation instead.";
  };
}
