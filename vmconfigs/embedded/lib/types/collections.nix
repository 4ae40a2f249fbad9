# Types of lists, attribute sets, functions, and of anything.
{ lib }:
let
  inherit (builtins)
    all
    concatLists
    filter
    foldl'
    head
    isAttrs
    isList
    mapAttrs
    typeOf
    zipAttrsWith
    ;
  inherit (lib.attrsets) filterAttrs;
  inherit (lib.lists) imap1;
  inherit (lib.modules) mergeDefinitions;
  inherit (lib.options)
    getFiles
    mergeEqualOption
    mergeOneOption
    mergeUniqueOption
    showFiles
    showOption
    ;
  inherit (lib.types)
    addCheck
    elemTypeFunctor
    headErrorOf
    memberDefinitions
    mkOptionType
    nounOrComposite
    optionDescriptionPhrase
    v2Check
    v2Merge
    ;
  inherit (lib.trivial) functionArgs isFunction;

  # What most types of types have in common.
  around =
    name: elemType: sub:
    {
      inherit name;
      getSubOptions = prefix: elemType.getSubOptions (prefix ++ sub);
      inherit (elemType) getSubModules;
      nestedTypes.elemType = elemType;
    };
in
rec {
  listOf =
    elemType:
    let
      check = v2Check isList;
    in
    mkOptionType (
      around "listOf" elemType [ "*" ]
      // {
        description = "list of ${optionDescriptionPhrase nounOrComposite elemType}";
        descriptionClass = "composite";
        inherit check;
        merge = v2Merge (
          { loc, defs }:
          let
            # Each element is an option of its own; those under mkIf false are
            # no elements.
            elements = filter (e: e.isDefined) (
              concatLists (
                imap1 (
                  n: def:
                  imap1 (
                    m: value:
                    mergeDefinitions (loc ++ [ "[definition ${toString n}-entry ${toString m}]" ]) elemType [
                      {
                        inherit (def) file;
                        inherit value;
                        pos = def.pos or null;
                      }
                    ]
                  ) def.value
                ) defs
              )
            );
          in
          {
            headError = headErrorOf check defs;
            value = map (e: e.mergedValue) elements;
            valueMeta.list = map (e: e.checkedAndMerged.valueMeta) elements;
          }
        );
        emptyValue.value = [ ];
        substSubModules = m: listOf (elemType.substSubModules m);
        functor = elemTypeFunctor "listOf" { inherit elemType; } // {
          type = payload: lib.types.listOf payload.elemType;
        };
      }
    );
  nonEmptyListOf =
    elemType:
    let
      list = addCheck (lib.types.listOf elemType) (l: l != [ ]);
    in
    list
    // {
      description = "non-empty ${optionDescriptionPhrase (class: class == "noun") list}";
      emptyValue = { };
      substSubModules = m: nonEmptyListOf (elemType.substSubModules m);
    };

  # Sets as they are: later definitions replace earlier ones' members.
  attrs = mkOptionType {
    name = "attrs";
    description = "attribute set";
    check = isAttrs;
    merge = _: foldl' (result: def: result // def.value) { };
    emptyValue.value = { };
  };
  attrsOf = elemType: attrsWith { inherit elemType; };
  # Members under mkIf false are there, and throw when looked at.
  lazyAttrsOf =
    elemType:
    attrsWith {
      inherit elemType;
      lazy = true;
    };
  attrsWith =
    {
      elemType,
      lazy ? false,
      placeholder ? "name",
    }:
    let
      check = v2Check isAttrs;
      name = if lazy then "lazyAttrsOf" else "attrsOf";
    in
    mkOptionType (
      around name elemType [ "<${placeholder}>" ]
      // {
        description = "${if lazy then "lazy " else ""}attribute set of ${optionDescriptionPhrase nounOrComposite elemType}";
        descriptionClass = "composite";
        inherit check;
        merge = v2Merge (
          { loc, defs }:
          let
            all = zipAttrsWith (name: mergeDefinitions (loc ++ [ name ]) elemType) (
              map memberDefinitions defs
            );
            members = if lazy then all else filterAttrs (_: m: m.isDefined) all;
          in
          {
            headError = headErrorOf check defs;
            # Without a definition, mergedValue is the type's empty value.
            value = mapAttrs (_: m: m.mergedValue) members;
            valueMeta.attrs = mapAttrs (_: m: m.checkedAndMerged.valueMeta) members;
          }
        );
        emptyValue.value = { };
        substSubModules =
          m:
          attrsWith {
            elemType = elemType.substSubModules m;
            inherit lazy placeholder;
          };
        functor =
          elemTypeFunctor "attrsWith" {
            inherit elemType lazy placeholder;
          }
          // {
            binOp =
              a: b:
              let
                elemType = a.elemType.typeMerge b.elemType.functor;
                placeholder =
                  if a.placeholder == b.placeholder || b.placeholder == "name" then
                    a.placeholder
                  else if a.placeholder == "name" then
                    b.placeholder
                  else
                    null;
              in
              if elemType == null || a.lazy != b.lazy || placeholder == null then
                null
              else
                {
                  inherit elemType placeholder;
                  inherit (a) lazy;
                };
          };
      }
    );
  loaOf =
    elemType:
    lib.types.attrsOf elemType
    // {
      name = "loaOf";
      deprecationMessage = "Mixing lists with attribute values is no longer possible; please use `types.attrsOf` instead. See https://github.com/NixOS/nixpkgs/issues/1800 for the motivation.";
      nestedTypes.elemType = elemType;
    };

  # At most one definition.
  uniq = unique { message = ""; };
  unique =
    { message }:
    type:
    mkOptionType (
      around "unique" type [ ]
      // {
        inherit (type) description descriptionClass check emptyValue;
        merge = mergeUniqueOption {
          inherit message;
          inherit (type) merge;
        };
        substSubModules = m: uniq (type.substSubModules m);
        functor = elemTypeFunctor "unique" { elemType = type; } // {
          type = payload: lib.types.unique { inherit message; } payload.elemType;
        };
      }
    );
  pkgs =
    addCheck
      (
        unique { message = "A Nixpkgs pkgs set can not be merged with another pkgs set."; } attrs
        // {
          name = "pkgs";
          descriptionClass = "noun";
          description = "Nixpkgs package set";
        }
      )
      (x: x._type or null == "pkgs");

  functionTo =
    elemType:
    mkOptionType (
      around "functionTo" elemType [ "<function body>" ]
      // {
        description = "function that evaluates to a(n) ${optionDescriptionPhrase nounOrComposite elemType}";
        descriptionClass = "composite";
        check = isFunction;
        merge = loc: defs: {
          # An argument is optional where all definitions have a default for it.
          __functionArgs = zipAttrsWith (_: all (optional: optional)) (
            map (def: functionArgs def.value) defs
          );
          __functor =
            _: arg:
            (mergeDefinitions (loc ++ [ "<function body>" ]) elemType (
              map (def: {
                inherit (def) file;
                pos = def.pos or null;
                value = def.value arg;
              }) defs
            )).mergedValue;
        };
        substSubModules = m: functionTo (elemType.substSubModules m);
        functor = elemTypeFunctor "functionTo" { inherit elemType; } // {
          type = payload: lib.types.functionTo payload.elemType;
        };
      }
    );

  # Sets are merged member by member, functions by what they return; of
  # everything else all definitions have to be equal.
  anything = mkOptionType {
    name = "anything";
    description = "anything";
    descriptionClass = "noun";
    merge =
      loc: defs:
      let
        kindOf =
          value: if isAttrs value && lib.strings.isStringLike value then "stringCoercibleSet" else typeOf value;
        kind = foldl' (
          kind: def:
          if kindOf def.value == kind then
            kind
          else
            throw "The option `${showOption loc}' has conflicting option types in ${showFiles (getFiles defs)}"
        ) (kindOf (head defs).value) defs;
      in
      if kind == "set" then
        (attrsOf anything).merge loc defs
      else if kind == "stringCoercibleSet" then
        mergeOneOption loc defs
      else if kind == "lambda" then
        arg:
        anything.merge (loc ++ [ "<function body>" ]) (
          map (def: {
            inherit (def) file;
            value = def.value arg;
          }) defs
        )
      else
        mergeEqualOption loc defs;
  };
}
