# From `modules` and their `imports` to a flat list: paths imported, functions
# called, each module once, without those in disabledModules.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    attrNames
    concatMap
    elem
    filter
    genericClosure
    head
    isAttrs
    isList
    isString
    mapAttrs
    split
    substring
    typeOf
    ;
  inherit (lib.lists) imap1;
  inherit (lib.trivial) functionArgs isFunction;
  inherit (lib.modules) mkMerge;
  inherit (lib.options) showDefs unknownModule;
  inherit (lib.strings) escapeNixString isConvertibleWithToString;

  # Attributes of a module that has `config` or `options`.
  explicit = [
    "_class"
    "_file"
    "key"
    "disabledModules"
    "imports"
    "options"
    "config"
    "meta"
    "freeformType"
  ];
  # Attributes that are not configuration, of a module that has neither.
  shorthand = [
    "_class"
    "_file"
    "key"
    "disabledModules"
    "require"
    "imports"
    "freeformType"
  ];

  disabledKey =
    modulesPath: file: m:
    if isString m then
      (if substring 0 1 m == "/" then m else toString modulesPath + "/" + m)
    else if isConvertibleWithToString m then
      if m ? key && m.key != toString m then
        throw "Module `${file}` contains a disabledModules item that is an attribute set that can be converted to a string (${toString m}) but also has a `.key` attribute (${m.key}) with a different value. This makes it ambiguous which module should be disabled."
      else
        toString m
    else if m ? key then
      m.key
    else if isAttrs m then
      throw "Module `${file}` contains a disabledModules item that is an attribute set, presumably a module, that does not have a `key` attribute. This means that the module system doesn't have any means to identify the module that should be disabled. Make sure that you've put the correct value in disabledModules: a string path relative to modulesPath, a path value, or an attribute set with a `key` attribute."
    else
      throw "Each disabledModules item must be a path, string, or a attribute set with a key attribute, or a value supported by toString. However, one of the disabledModules items in `${toString file}` is none of that, but is of type ${typeOf m}.";

  checkClass =
    class: m:
    if class == null || m._class == null || m._class == class then
      m
    else
      throw ''
        The module `${m._file or m.key}` (class: ${escapeNixString m._class}) cannot be imported into a module evaluation that expects class ${escapeNixString class}.

        Help:
        - Ensure that you are importing the correct module.
        - Verify that the module's `_class`, ${escapeNixString m._class} matches the expected `class` ${escapeNixString class}.
        - If you are using a custom class, make sure it is correctly defined and used consistently across your modules.
      '';

  # One module, whatever form it has.
  load =
    class: args: file: key: m:
    if isFunction m then
      unifyModuleSyntax file key (applyModuleArgs key m args)
    else if isAttrs m then
      if !(m ? _type) || m._type == "module" then
        unifyModuleSyntax file key m
      else if m._type == "if" || m._type == "override" then
        unifyModuleSyntax file key { config = m; }
      else
        throw (
          lib.modules.notAModule {
            inherit file class;
            type = m._type;
            prefix = args._prefix or [ ];
          }
        )
    else if isList m then
      throw "Module imports can't be nested lists. Perhaps you meant to remove one level of lists? Definitions: ${
        showDefs [
          {
            inherit file;
            value = m;
          }
        ]
      }"
    else
      unifyModuleSyntax (toString m) (toString m) (
        applyModuleArgsIfFunction (toString m) (import m) args
      );

  # Every module in one form: { _file, _class, key, disabledModules, imports,
  # options, config }.
  unifyModuleSyntax =
    file: key: m:
    let
      extra =
        (if m ? meta && isExplicit then [ { inherit (m) meta; } ] else [ ])
        ++ (if m ? freeformType then [ { _module.freeformType = m.freeformType; } ] else [ ]);
      withExtra = config: if extra == [ ] then config else mkMerge ([ config ] ++ extra);
      isExplicit = m ? config || m ? options;
      unsupported = attrNames (removeAttrs m explicit);
      common = {
        _file = toString m._file or file;
        _class = m._class or null;
        key = toString m.key or key;
        disabledModules = m.disabledModules or [ ];
      };
    in
    if !isAttrs m then
      throw "module ${file} (${key}) does not look like a module."
    else if !isExplicit then
      common
      // {
        imports = m.require or [ ] ++ m.imports or [ ];
        options = { };
        config = withExtra (removeAttrs m shorthand);
      }
    else if unsupported != [ ] then
      throw "Module `${key}' has an unsupported attribute `${head unsupported}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them (namely: ${toString unsupported}) into the explicit `config' attribute."
    else
      common
      // {
        imports = m.imports or [ ];
        options = m.options or { };
        config = withExtra (m.config or { });
      };

  # Call a module. Its named arguments are looked up one by one and lazily:
  # those that are not given from outside come from `_module.args`, which is
  # configuration, which needs the module.
  applyModuleArgs =
    key: f: args:
    let
      argument =
        name: _:
        addErrorContext ''while evaluating the module argument `${name}' in "${key}":'' (
          args.${name} or (addErrorContext
            "noting that argument `${name}` is not externally provided, so querying `_module.args` instead, requiring `config`"
            args.config._module.args.${name}
          )
        );
    in
    f (args // mapAttrs argument (functionArgs f));
  applyModuleArgsIfFunction =
    key: f: args:
    if isFunction f then applyModuleArgs key f args else f;

  # The tree of imports, each node with what it and those below disable.
  treeOf =
    class: args:
    let
      below =
        file: key: modules:
        let
          nodes = imap1 (
            n: m:
            let
              module = checkClass class (load class args file "${key}:anon-${toString n}" m);
              imported = below module._file module.key module.imports;
            in
            {
              inherit (module) key;
              inherit module;
              inherit (imported) nodes;
              disabled =
                map (disabled: {
                  inherit disabled;
                  file = module._file;
                }) module.disabledModules
                ++ imported.disabled;
            }
          ) modules;
        in
        {
          inherit nodes;
          disabled = concatMap (node: node.disabled) nodes;
        };
    in
    below unknownModule "";
in
{
  inherit unifyModuleSyntax applyModuleArgsIfFunction;

  setDefaultModuleLocation = file: m: {
    _file = file;
    imports = [ m ];
  };

  # In the order they are met, breadth first.
  collectModules =
    class: modulesPath: modules: args:
    let
      tree = treeOf class args modules;
      disabled = map ({ file, disabled }: disabledKey modulesPath file disabled) tree.disabled;
      # A module of nixpkgs' that is several files here has "#file" behind its key.
      isDisabled = node: elem node.key disabled || elem (head (split "#" node.key)) disabled;
      enabled = if disabled == [ ] then nodes: nodes else filter (node: !isDisabled node);
    in
    map (node: node.module) (genericClosure {
      startSet = enabled tree.nodes;
      operator = node: enabled node.nodes;
    });
}
