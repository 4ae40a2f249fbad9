# The tree of options: descends into declarations and definitions side by side.
{ lib }:
let
  inherit (builtins)
    all
    attrNames
    concatLists
    concatMap
    concatStringsSep
    filter
    head
    isAttrs
    length
    mapAttrs
    sort
    typeOf
    unsafeGetAttrPos
    zipAttrsWith
    ;
  inherit (lib.options) isOption mkOption showOption;
  inherit (lib.modules)
    branches
    evalOptionValue
    fixupOptionType
    mergeOptionDecls
    positionOf
    ;

  # The members of what one definition sets, as definitions: name -> def.
  membersOf =
    def:
    map (
      { attrs, wrap }:
      if !isAttrs attrs then
        { inherit def attrs; }
      else
        {
          members = mapAttrs (name: value: {
            inherit (def) file;
            value = if wrap == null then value else wrap value;
            pos = positionOf name attrs (def.pos or null);
          }) attrs;
        }
    ) (branches def.value);

  # A bare set of options beside an option of type submodule is a submodule.
  asOption =
    decl:
    if isOption decl.options then
      decl
    else
      decl
      // {
        options = mkOption {
          type = lib.types.submoduleWith {
            modules = [ { inherit (decl) options; } ];
            # Whatever the other declarations say.
            shorthandOnlyDefinesConfig = null;
          };
        };
      };

  notAnOption =
    loc: type: file:
    let
      name = lib.strings.escapeNixIdentifier (lib.lists.last loc);
      comment = lib.strings.optionalString (length loc > 1) "\n    # ${showOption loc}";
      hint = ''
        When declaring an option, you must wrap the type in a `mkOption` call. It should look somewhat like:
            ${comment}
            ${name} = lib.mkOption {
              description = ...;
              type = <the type you wrote for ${name}>;
              ...
            };
      '';
    in
    throw (
      concatStringsSep "\n\n" (
        [
          "In module ${file}: expected an option declaration at option path `${showOption loc}` but got an attribute set with type ${type}"
        ]
        ++ lib.lists.optional (type == "option-type") hint
      )
    );

  noNestedOptions =
    loc: decls: options:
    let
      first = head options;
      nested = concatMap (
        decl:
        map (
          name: " - option(s) with prefix `${showOption (loc ++ [ name ])}' in module `${decl._file}'"
        ) (attrNames decl.options)
      ) (filter (decl: !isOption decl.options) decls);
    in
    throw "The option `${showOption loc}' in module `${first._file}' would be a parent of the following options, but its type `${
      first.options.type.description or "<no description>"
    }' does not support nested options.\n${concatStringsSep "\n" (sort (a: b: a < b) nested)}";
in
rec {
  # modules: [ { _file, options } ]; defs: [ { file, value, pos } ], their
  # values attribute sets, maybe with properties around.
  # Result: { matchedOptions, unmatchedDefns = [ { file, value, pos, prefix } ] }.
  mergeTree =
    prefix: modules: defs:
    let
      declarations = zipAttrsWith (_: decls: decls) (
        map (
          module:
          if isAttrs module.options then
            mapAttrs (name: options: {
              inherit (module) _file;
              pos = unsafeGetAttrPos name module.options;
              inherit options;
            }) module.options
          else
            throw ''
              An option declaration for `${concatStringsSep "." prefix}' has type
              `${typeOf module.options}' rather than an attribute set.
              Did you mean to define this outside of `options'?
            ''
        ) modules
      );
      sets = concatMap membersOf defs;
      checkedSets =
        assert all (
          set:
          set ? members
          || throw ''
            In module `${set.def.file}', you're trying to define a value of type `${typeOf set.attrs}'
            rather than an attribute set for the option
            `${concatStringsSep "." prefix}'!

            This usually happens if `${concatStringsSep "." prefix}' has option
            definitions inside that are not matched. Please check how to properly define
            this option by e.g. referring to `man 5 configuration.nix'!
          ''
        ) sets;
        sets;
      definitions = zipAttrsWith (_: members: members) (map (set: set.members) checkedSets);

      results = mapAttrs (
        name: decls:
        let
          loc = prefix ++ [ name ];
          own = definitions.${name} or [ ];
          options = filter (
            decl:
            decl.options ? _type
            && (decl.options._type == "option" || notAnOption loc decl.options._type decl._file)
          ) decls;
          asOne = decls: {
            matchedOptions = evalOptionValue loc (fixupOptionType loc (mergeOptionDecls loc decls)) own;
            unmatchedDefns = [ ];
          };
        in
        if length options == length decls then
          asOne decls
        else if options == [ ] then
          mergeTree loc decls own
        else if all (decl: decl.options.type.name or null == "submodule") options then
          asOne (map asOption decls)
        else
          noNestedOptions loc decls options
      ) declarations;

      unmatched =
        mapAttrs (_: result: result.unmatchedDefns) results
        // removeAttrs definitions (attrNames declarations);
    in
    {
      matchedOptions = mapAttrs (_: result: result.matchedOptions) results;
      # With no definitions nothing need be looked at.
      unmatchedDefns =
        if sets == [ ] then
          [ ]
        else
          concatLists (
            lib.attrsets.mapAttrsToList (
              name: map (def: def // { prefix = [ name ] ++ (def.prefix or [ ]); })
            ) unmatched
          );
    };

  mergeModules =
    prefix: modules:
    mergeTree prefix modules (
      map (module: {
        file = module._file;
        value = module.config;
      }) modules
    );
  # As nixpkgs has it: configs are { file, config }.
  mergeModules' =
    prefix: modules: configs:
    mergeTree prefix modules (
      map (c: {
        inherit (c) file;
        value = c.config;
      }) configs
    );
}
