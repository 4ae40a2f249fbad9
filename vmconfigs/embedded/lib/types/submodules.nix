# Types whose values are modules, options or types themselves.
{ lib }:
let
  inherit (builtins)
    attrNames
    head
    intersectAttrs
    isAttrs
    length
    ;
  inherit (lib.attrsets) optionalAttrs;
  inherit (lib.lists) last toList;
  inherit (lib.options) showOption;
  inherit (lib.trivial) isFunction;
  inherit (lib.types)
    defaultFunctor
    headErrorOf
    isType
    mkOptionType
    nounOrComposite
    optionDescriptionPhrase
    v2Check
    v2Merge
    ;

  isModule = x: isAttrs x || isFunction x || lib.types.path.check x;
  # For manuals nothing need be defined.
  unchecked = {
    config._module.check = lib.modules.mkForce false;
    _file = "<built-in module that disables checks for the purpose of documentation generation>";
  };
  # Of an argument that two declarations give: whichever is there, or an error.
  agreed =
    what: a: b:
    if a == null || a == b then
      b
    else if b == null then
      a
    else
      throw "A submoduleWith option is declared multiple times with conflicting ${what}";
in
rec {
  noCheckForDocsModule = unchecked;

  submodule =
    modules:
    submoduleWith {
      shorthandOnlyDefinesConfig = true;
      modules = toList modules;
    };
  submoduleWith =
    {
      modules,
      specialArgs ? { },
      # Is a plain set configuration, even if it has `config` or `options`?
      shorthandOnlyDefinesConfig ? false,
      description ? null,
      class ? null,
    }@given:
    let
      # A definition is a module; it keeps its file.
      asModule =
        def:
        if isAttrs def.value && shorthandOnlyDefinesConfig then
          {
            _file = def.file;
            config = def.value;
          }
        else
          {
            _file = def.file;
            imports = [ def.value ];
          };
      # Without definitions: for the manual and for the empty value.
      base = lib.modules.evalModules {
        inherit class specialArgs;
        modules = [ { _module.args.name = lib.modules.mkOptionDefault "‹name›"; } ] ++ modules;
      };
      documented = prefix: base.extendModules (prefix // { modules = [ unchecked ]; });
      inherit (base._module) freeformType;
      check = v2Check isModule;
    in
    mkOptionType {
      name = "submodule";
      description =
        if description != null then
          description
        else
          let
            freeformType = (documented { })._module.freeformType;
          in
          if freeformType ? description then
            "open submodule of ${optionDescriptionPhrase nounOrComposite freeformType}"
          else
            "submodule";
      inherit check;
      merge = v2Merge (
        { loc, defs }:
        let
          configuration = base.extendModules {
            modules = [ { _module.args.name = last loc; } ] ++ map asModule defs;
            prefix = loc;
          };
        in
        {
          headError = headErrorOf check defs;
          value = configuration.config;
          valueMeta = { inherit configuration; };
        }
      );
      emptyValue.value = base.config;
      getSubOptions =
        prefix:
        let
          docs = documented { inherit prefix; };
          inherit (docs._module) freeformType;
        in
        docs.options
        // optionalAttrs (freeformType != null) {
          _freeformOptions = freeformType.getSubOptions prefix;
        };
      getSubModules = modules;
      substSubModules = m: submoduleWith (given // { modules = m; });
      nestedTypes = optionalAttrs (freeformType != null) { inherit freeformType; };
      functor = defaultFunctor "submodule" // {
        type = lib.types.submoduleWith;
        payload = {
          inherit
            modules
            class
            specialArgs
            shorthandOnlyDefinesConfig
            description
            ;
        };
        binOp = a: b: {
          class = agreed ''class values "${toString a.class}" and "${toString b.class}".'' a.class b.class;
          modules = a.modules ++ b.modules;
          specialArgs =
            let
              both = attrNames (intersectAttrs a.specialArgs b.specialArgs);
            in
            if both == [ ] then
              a.specialArgs // b.specialArgs
            else
              throw ''A submoduleWith option is declared multiple times with the same specialArgs "${toString both}"'';
          shorthandOnlyDefinesConfig =
            agreed "shorthandOnlyDefinesConfig values" a.shorthandOnlyDefinesConfig
              b.shorthandOnlyDefinesConfig;
          description = agreed "descriptions" a.description b.description;
        };
      };
    };

  # A module to be imported elsewhere.
  deferredModule = deferredModuleWith { };
  deferredModuleWith =
    given@{
      staticModules ? [ ],
    }:
    mkOptionType {
      name = "deferredModule";
      description = "module";
      descriptionClass = "noun";
      check = isModule;
      merge = loc: defs: {
        imports =
          staticModules
          ++ map (
            def:
            lib.modules.setDefaultModuleLocation "${def.file}, via option ${showOption loc}" def.value
          ) defs;
      };
      inherit (submoduleWith { modules = staticModules; }) getSubOptions getSubModules;
      substSubModules = m: deferredModuleWith (given // { staticModules = m; });
      functor = defaultFunctor "deferredModuleWith" // {
        type = lib.types.deferredModuleWith;
        payload = { inherit staticModules; };
        binOp = a: b: { staticModules = a.staticModules ++ b.staticModules; };
      };
    };

  optionDeclaration = mkOptionType {
    name = "optionDeclaration";
    description = "option declaration";
    descriptionClass = "noun";
    check = x: isType "option" x && !(x ? value);
  };

  # The type of types. Several are joined as declarations of one option are.
  optionType = mkOptionType {
    name = "optionType";
    description = "optionType";
    descriptionClass = "noun";
    check = isType "option-type";
    merge =
      loc: defs:
      if length defs == 1 then
        (head defs).value
      else
        (lib.modules.fixupOptionType loc (
          lib.modules.mergeOptionDecls loc (
            map (def: {
              _file = def.file;
              pos = def.pos or null;
              options = lib.options.mkOption { type = def.value; };
            }) defs
          )
        )).type;
  };
}
