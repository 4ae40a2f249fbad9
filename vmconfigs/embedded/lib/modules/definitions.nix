# One option: its declarations joined, its definitions merged.
#
# A definition is { file, value } and, beyond what nixpkgs has, `pos`: where
# the attribute that holds it stands ({ file, line, column }), as far as Nix
# knows. Positions are thunks: they cost nothing unless asked for.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    all
    any
    concatMap
    filter
    foldl'
    head
    length
    mapAttrs
    zipAttrsWith
    ;
  inherit (lib.options) showDefs showFiles showOption;
  inherit (lib.modules)
    branches
    defaultOverridePriority
    dischargeProperties
    filterOverrides'
    mkOptionDefault
    priorityOf
    sortProperties
    withoutPriority
    ;

  # A type that merges in one go with checking must not have had its check
  # replaced behind its back.
  coherent =
    loc: type: result:
    if type.check.isV2MergeCoherent or false then
      result
    else
      throw ''
        The option `${showOption loc}' has a type `${type.description}' that uses
        an ad-hoc `type // { check = ...; }' override, which is incompatible with
        the v2 merge mechanism.
        Please use `lib.types.addCheck` instead of `type // { check }' to add
        custom validation. For example:

          lib.types.addCheck baseType (value: /* your check */)

        instead of:

          baseType // { check = value: /* your check */; }
      '';

  # Definitions without mkMerge and mkIf.
  discharge = concatMap (
    def:
    map (value: if value._type or null == "definition" then value else def // { inherit value; }) (
      addErrorContext "while evaluating definitions from `${def.file}':" (dischargeProperties def.value)
    )
  );
in
rec {
  checkV2MergeCoherence = coherent;

  # Merge the definitions of a value of this type. Lazy in all its results.
  mergeDefinitions =
    loc: type: defs:
    let
      only = head defs;
      # Most options have one definition with no property around it.
      plain =
        length defs == 1
        && addErrorContext "while evaluating definitions from `${only.file}':" (!(only.value ? _type));
      normalized = discharge defs;
      strongest = filterOverrides' normalized;
      defsFinal' =
        if plain then
          {
            values = defs;
            highestPrio = defaultOverridePriority;
          }
        else
          {
            inherit (strongest) highestPrio;
            values =
              if any (def: def.value._type or "" == "order") strongest.values then
                sortProperties strongest.values
              else
                strongest.values;
          };
      defsFinal = defsFinal'.values;
      isDefined = defsFinal != [ ];
      isV2 = type.merge ? v2;
      checkedAndMerged =
        if isV2 then
          let
            result = coherent loc type (type.merge.v2 { inherit loc; defs = defsFinal; });
          in
          result
          // {
            valueMeta = result.valueMeta // {
              _internal = {
                inherit type;
              };
            };
          }
        else
          {
            headError = null;
            value = mergedValue;
            valueMeta = { };
          };
      mergedValue =
        if !isDefined then
          type.emptyValue.value
            or (throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option.")
        else if isV2 then
          if checkedAndMerged.headError or null != null then
            throw "A definition for option `${showOption loc}' is not of type `${type.description}'. TypeError: ${checkedAndMerged.headError.message}"
          else
            checkedAndMerged.value
        else if all (def: type.check def.value) defsFinal then
          type.merge loc defsFinal
        else
          throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${
            showDefs (filter (def: !type.check def.value) defsFinal)
          }";
    in
    {
      inherit
        defsFinal'
        defsFinal
        isDefined
        mergedValue
        checkedAndMerged
        ;
      optionalValue = if isDefined then { value = mergedValue; } else { };
      # Those that lost by priority too.
      allDefinitions = map (
        def:
        withoutPriority def
        // rec {
          priority = priorityOf def;
          wins = priority == defsFinal'.highestPrio;
        }
      ) normalized;
    };

  # The option with its value: what stands under `options`.
  evalOptionValue =
    loc: opt: defs:
    let
      defs' =
        if opt ? default then
          [
            {
              file = head opt.declarations;
              value = mkOptionDefault opt.default;
              pos = defaultPosition opt;
            }
          ]
          ++ defs
        else
          defs;
      merged =
        if opt.readOnly or false && length defs' > 1 then
          throw "The option `${showOption loc}' is read-only, but it's set multiple times. Definition values:${
            showDefs (
              map (def: def // { value = (mergeDefinitions loc opt.type [ def ]).mergedValue; }) defs'
            )
          }"
        else
          mergeDefinitions loc opt.type defs';
      value = if opt ? apply then opt.apply merged.mergedValue else merged.mergedValue;
      checked =
        if opt.type.deprecationMessage == null then
          opt
        else
          lib.trivial.warn "The type `types.${opt.type.name}' of option `${showOption loc}' defined in ${showFiles opt.declarations} is deprecated. ${opt.type.deprecationMessage}" opt;
    in
    checked
    // {
      value = addErrorContext "while evaluating the option `${showOption loc}':" value;
      inherit (merged.defsFinal') highestPrio;
      inherit (merged) allDefinitions isDefined;
      inherit (merged.checkedAndMerged) valueMeta;
      definitions = map (def: def.value) merged.defsFinal;
      files = map (def: def.file) merged.defsFinal;
      definitionsWithLocations = merged.defsFinal;
      __toString = _: showOption loc;
    };
  # A default stands where its option is declared.
  defaultPosition =
    opt:
    let
      position = head opt.declarationPositions;
    in
    if opt.declarationPositions or [ ] == [ ] || position.line or null == null then null else position;

  # Join the declarations of one option. Each is { _file, pos, options }.
  mergeOptionDecls =
    loc:
    foldl'
      (
        so: declaration:
        let
          new = declaration.options;
          both = attribute: new ? ${attribute} && so ? ${attribute};
          again = throw "The option `${showOption loc}' in `${declaration._file}' is already declared in ${showFiles so.declarations}.";
          type = so.type.typeMerge new.type.functor;
          modules = new.type.getSubModules or null;
        in
        if both "default" || both "example" || both "description" || both "apply" then
          again
        else
          new
          // so
          // {
            declarations = so.declarations ++ [ declaration._file ];
            declarationPositions = so.declarationPositions ++ [
              (
                if declaration.pos != null then
                  declaration.pos
                else
                  {
                    file = declaration._file;
                    line = null;
                    column = null;
                  }
              )
            ];
            # Modules of submodules, told in which file they stand.
            options =
              if modules == null then
                so.options
              else
                map (lib.modules.setDefaultModuleLocation declaration._file) modules ++ so.options;
            ${if both "type" then "type" else null} = if type == null then again else type;
          }
      )
      {
        inherit loc;
        declarations = [ ];
        declarationPositions = [ ];
        options = [ ];
      };

  # Give the type of a joined option the modules of all its declarations.
  fixupOptionType =
    loc: opt:
    if opt.type.getSubModules or null == null then
      opt // { type = opt.type or lib.types.unspecified; }
    else
      opt
      // {
        type = opt.type.substSubModules opt.options;
        options = [ ];
      };

  # Members of an attrsOf option, each with value and priority.
  mergeAttrDefinitionsWithPrio =
    opt:
    assert opt.type.name == "attrsOf" || opt.type.name == "lazyAttrsOf";
    mapAttrs
      (
        name: defs:
        let
          merged = mergeDefinitions (opt.loc ++ [ name ]) opt.type.nestedTypes.elemType defs;
        in
        {
          value = merged.mergedValue;
          inherit (merged.defsFinal') highestPrio;
        }
      )
      (
        zipAttrsWith (_: defs: defs) (
          concatMap (
            def:
            map (
              branch:
              mapAttrs (
                _: value: def // { value = if branch.wrap == null then value else branch.wrap value; }
              ) branch.attrs
            ) (branches def.value)
          ) opt.definitionsWithLocations
        )
      );
}
