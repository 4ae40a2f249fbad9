# Submodules, freeform types, arguments of modules.
{ lib }:
let
  inherit (import ./eval.nix { inherit lib; })
    config
    eval
    mkOption
    option
    optionWith
    throws
    types
    x
    ;
  inherit (lib) mkDefault mkForce mkIf;
  freeform = {
    freeformType = types.attrsOf types.int;
    options.known = optionWith types.int 1;
  };
in
{
  nameIsKey = {
    expr = x (types.attrsOf (
      types.submodule (
        { name, ... }:
        {
          options.name = optionWith types.str name;
        }
      )
    )) [
      {
        a = { };
        b.name = "other";
      }
    ];
    expected = {
      a.name = "a";
      b.name = "other";
    };
  };
  nameInList = {
    expr = x (types.listOf (types.submodule ({ name, ... }: { options.n = optionWith types.str name; }))) [
      [ { } { } ]
      [ { } ]
    ];
    expected = map (n: { inherit n; }) [
      "[definition 1-entry 1]"
      "[definition 2-entry 1]"
      "[definition 2-entry 2]"
    ];
  };
  # A function sees the submodule's own configuration.
  functionDefinition = {
    expr = x (types.submodule {
      options.a = optionWith types.int 1;
      options.b = optionWith types.int 0;
    }) [
      ({ config, ... }: { b = config.a + 1; })
      { a = 5; }
    ];
    expected = {
      a = 5;
      b = 6;
    };
  };
  # Declared twice: the options of both.
  declaredTwice = {
    expr =
      (config [
        { options.x = option (types.attrsOf (types.submodule { options.a = optionWith types.int 1; })); }
        { options.x = option (types.attrsOf (types.submodule { options.b = optionWith types.int 2; })); }
        { x.m.b = 3; }
      ]).x;
    expected.m = {
      a = 1;
      b = 3;
    };
  };
  # A bare option beside a submodule is one of its options.
  nestedDeclaration = {
    expr =
      (config [
        { options.x = optionWith (types.submodule { options.a = optionWith types.int 1; }) { }; }
        { options.x.b = optionWith types.int 2; }
      ]).x;
    expected = {
      a = 1;
      b = 2;
    };
  };
  sharedDefinition = {
    expr = x (types.submoduleWith {
      shorthandOnlyDefinesConfig = true;
      modules = [ { options.config = optionWith types.int 1; } ];
    }) [ { config = 2; } ];
    expected.config = 2;
  };
  freeformMembers = {
    expr = x (types.submodule freeform) [
      { a = 1; }
      {
        a = mkForce 2;
        b = mkIf false 3;
        c = mkDefault 4;
        known = 7;
      }
    ];
    expected = {
      a = 2;
      c = 4;
      known = 7;
    };
  };
  freeformChecked = {
    expr = throws (x (types.submodule freeform) [ { a = "no number"; } ]);
    expected = true;
  };
  # Below a declared set of options too.
  freeformNested = {
    expr = x (types.submodule {
      freeformType = types.attrsOf (types.attrsOf types.int);
      options.inner.known = optionWith types.int 1;
    }) [
      { inner.other = 2; }
      { out.x = 3; }
    ];
    expected = {
      inner = {
        known = 1;
        other = 2;
      };
      out.x = 3;
    };
  };
  # An option may depend on free members.
  freeformSeen = {
    expr = x (types.submodule (
      { config, ... }:
      {
        freeformType = types.attrsOf types.int;
        options.seen = optionWith types.bool (config ? a);
      }
    )) [ { a = 1; } ];
    expected = {
      a = 1;
      seen = true;
    };
  };
  freeformTopLevel = {
    expr = removeAttrs (config [
      {
        freeformType = types.attrsOf types.int;
        options.a = optionWith types.int 1;
      }
      { b = 2; }
    ]) [ "_module" ];
    expected = {
      a = 1;
      b = 2;
    };
  };
  arguments = {
    expr =
      (lib.evalModules {
        specialArgs.special = "special";
        modules = [
          (
            {
              special,
              given,
              optional ? "default",
              ...
            }:
            {
              options.x = optionWith types.str (special + given + optional);
            }
          )
          { _module.args.given = "given"; }
          { _module.args.optional = "set"; }
        ];
      }).config.x;
    expected = "specialgivenset";
  };
  extended = {
    expr =
      let
        base = eval [
          { options.x = option types.int; }
          { x = mkDefault 1; }
        ];
      in
      [
        base.config.x
        (base.extendModules { modules = [ { x = 2; } ]; }).config.x
      ];
    expected = [
      1
      2
    ];
  };
  asType = {
    expr =
      let
        base = eval [ { options.a = optionWith types.int 1; } ];
      in
      x (types.attrsOf base.type) [ { m.a = 2; n = { }; } ];
    expected = {
      m.a = 2;
      n.a = 1;
    };
  };
  deferred = {
    expr =
      let
        module = x types.deferredModule [
          { options.a = optionWith types.int 1; }
          { a = 2; }
        ];
      in
      (config [ module ]).a;
    expected = 2;
  };
  specialArgs = {
    expr = x (types.submoduleWith {
      specialArgs.extra = 3;
      modules = [ ({ extra, ... }: { options.a = optionWith types.int extra; }) ];
    }) [ { } ];
    expected.a = 3;
  };
  uncheckedModule = {
    expr =
      (config [
        {
          options.x = optionWith types.int 1;
          config._module.check = false;
        }
        { unknown = 1; }
      ]).x;
    expected = 1;
  };
  emptyValue = {
    expr =
      (eval [ { options.x = mkOption { type = types.submodule { options.a = optionWith types.int 1; }; }; } ])
      .config.x;
    expected.a = 1;
  };
}
