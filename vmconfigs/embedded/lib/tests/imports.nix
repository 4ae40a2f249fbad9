# imports, keys, disabledModules, files.
{ lib }:
let
  inherit (import ./eval.nix { inherit lib; })
    config
    eval
    ints
    option
    optionWith
    throws
    types
    ;
  base = {
    options.x = optionWith ints [ ];
  };
  keyed =
    key: n: {
      inherit key;
      x = [ n ];
    };
in
{
  # Imported by two, there once: where it is met first, breadth first.
  diamond = {
    expr =
      (config [
        base
        ./modules/one.nix
      ]).x;
    expected = [
      33
      22
      11
    ];
  };
  # The same key once, the same file once, the same text twice twice.
  onceByKey = {
    expr =
      (config [
        base
        (keyed "k" 1)
        (keyed "k" 2)
        ./modules/one.nix
        (toString ./modules/one.nix)
        { x = [ 3 ]; }
        { x = [ 3 ]; }
      ]).x;
    expected = [
      33
      22
      3
      3
      11
      1
    ];
  };
  disabled = {
    expr =
      map (list: (config ([ base ] ++ list)).x) [
        [
          ./modules/one.nix
          { disabledModules = [ ./modules/two.nix ]; }
        ]
        [
          ./modules/one.nix
          { disabledModules = [ (toString ./modules/one.nix) ]; }
        ]
        [
          (keyed "k" 1)
          { disabledModules = [ { key = "k"; } ]; }
        ]
        # One that is disabled may itself disable.
        [
          (keyed "k" 1 // { disabledModules = [ { key = "k"; } ]; })
        ]
      ];
    expected = [
      [
        33
        11
      ]
      [ ]
      [ ]
      [ ]
    ];
  };
  disabledByModulesPath = {
    expr =
      (lib.evalModules {
        specialArgs.modulesPath = toString ./modules;
        modules = [
          base
          ./modules/one.nix
          { disabledModules = [ "two.nix" ]; }
        ];
      }).config.x;
    expected = [
      33
      11
    ];
  };
  # What kinds of modules there are.
  kinds = {
    expr =
      (config [
        base
        ({ lib, ... }: { x = lib.mkAfter [ 1 ]; })
        { config.x = [ 2 ]; }
        { imports = [ { imports = [ (_: { x = [ 3 ]; }) ]; } ]; }
        {
          _file = "somewhere";
          x = [ 4 ];
        }
        { require = [ { x = [ 5 ]; } ]; }
        {
          __functor = _: { ... }: { x = [ 6 ]; };
        }
      ]).x;
    # What is imported comes before everything that is not.
    expected = [
      3
      5
      6
      4
      2
      1
    ];
  };
  files = {
    expr =
      (eval [
        base
        {
          _file = "/named.nix";
          x = [ 1 ];
        }
        (lib.setDefaultModuleLocation "/outer.nix" { x = [ 2 ]; })
        ./modules/three.nix
        { x = lib.mkDefinition { file = "/said.nix"; value = [ 3 ]; }; }
      ]).options.x.files;
    expected = [
      "/outer.nix"
      "/said.nix"
      (toString ./modules/three.nix)
      "/named.nix"
    ];
  };
  declarations = {
    expr =
      (eval [
        {
          _file = "/d.nix";
          options.x = option types.int;
        }
      ]).options.x.declarations;
    expected = [ "/d.nix" ];
  };
  # Named by `imports` only, arguments may come from specialArgs.
  importsBySpecialArgs = {
    expr =
      (lib.evalModules {
        specialArgs.extra = [ { x = [ 9 ]; } ];
        modules = [
          base
          ({ extra, ... }: { imports = extra; })
        ];
      }).config.x;
    expected = [ 9 ];
  };
  classes = {
    expr = [
      (lib.evalModules {
        class = "nixos";
        modules = [
          base
          {
            _class = "nixos";
            x = [ 1 ];
          }
        ];
      }).config.x
      (throws
        (lib.evalModules {
          class = "nixos";
          modules = [
            base
            { _class = "darwin"; }
          ];
        }).config.x
      )
    ];
    expected = [
      [ 1 ]
      true
    ];
  };
  notModules = {
    expr = map (m: throws (config [ base m ]).x) [
      [ { } ]
      { _type = "flake"; }
      {
        options = { };
        stray = 1;
      }
    ];
    expected = [
      true
      true
      true
    ];
  };
}
