/// A pattern of paths, as in Python's `glob.glob(pattern, recursive=True)`.
///
/// Within a component `*` matches any characters, `?` one, `[abc]`, `[a-z]` and `[!a-z]` one of a
/// set; a component `**` matches any number of folders, including none. Names that begin with a dot
/// are matched only by components that do. A pattern that ends in a slash matches folders.
public struct PathPattern {
  public let text: String

  public init(_ text: String) { self.text = text }

  /// Whether it contains a wildcard.
  public var hasWildcards: Bool { Self.hasWildcards(text) }

  /// Returns the pattern that matches only this path.
  public static func escaped(_ path: String) -> String {
    path.map { "*?[".contains($0) ? "[\($0)]" : String($0) }.joined()
  }

  /// Returns the pattern with literal brackets, while stars and question marks remain wildcards.
  public static func withPlainBrackets(_ pattern: String) -> String {
    // Escaped ones stay as they are.
    pattern.replacing("[[]", with: "[").replacing("[", with: "[[]")
  }

  /// The folders before the first component with a wildcard, without a trailing slash.
  public var literalFolder: String {
    let components = text.split(separator: "/", omittingEmptySubsequences: false)
    let literal = components.dropLast().prefix { !Self.hasWildcards($0) }
    return literal.joined(separator: "/")
  }

  /// Returns the matching paths, each once, sorted.
  ///
  /// - Throws: for a folder that cannot be listed, whose files would otherwise be silently missing
  public func paths() throws(FileError) -> [String] {
    var found: Set<ExactText> = []
    let components = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    if components.count > 1, components[0].isEmpty {
      try Self.match(components.dropFirst(), from: "/", &found)
    } else {
      try Self.match(components[...], from: "", &found)
    }
    return found.sorted().map(\.text)
  }

  /// Whether it would match this path if that existed.
  public func matches(path: String) -> Bool {
    func components(_ text: String) -> [Substring] {
      text.split(separator: "/").filter { $0 != "." }
    }
    guard text.hasPrefix("/") == path.hasPrefix("/") else { return false }
    return Self.matches(components(text)[...], components(path)[...])
  }

  private static func matches(
    _ pattern: ArraySlice<Substring>, _ path: ArraySlice<Substring>
  ) -> Bool {
    guard let first = pattern.first else { return path.isEmpty }
    if first == "**" {
      return matches(pattern.dropFirst(), path)
        || path.first.map { !$0.hasPrefix(".") && matches(pattern, path.dropFirst()) } ?? false
    }
    guard let name = path.first, first.hasPrefix(".") || !name.hasPrefix(".") else { return false }
    return NamePattern(String(first)).matches(String(name))
      && matches(pattern.dropFirst(), path.dropFirst())
  }

  /// Whether its last component matches a file name.
  public func matches(fileName: String) -> Bool {
    let last = text.split(separator: "/", omittingEmptySubsequences: false).last.map(String.init)
    return last.map { NamePattern($0).matches(fileName) } ?? false
  }

  private static func hasWildcards(_ text: some StringProtocol) -> Bool {
    text.contains { "*?[".contains($0) }
  }

  /// - Parameter start: the prefix of the components, empty or with a trailing slash
  private static func match(
    _ components: ArraySlice<String>, from start: String, _ found: inout Set<ExactText>
  ) throws(FileError) {
    guard let first = components.first else { return }
    let rest = components.dropFirst()
    if first == "**" {
      try matchFolders(rest, from: start, above: [], &found)
      return
    }
    let isLast = rest.isEmpty
    guard hasWildcards(first) else {
      // An empty component comes from a doubled slash, or a trailing one that asks for a folder.
      let path = start + first
      if isLast {
        let exists = first.isEmpty ? PathKind(of: start) == .folder : PathKind(of: path) != nil
        if exists { found.insert(ExactText(path)) }
      } else {
        try match(rest, from: path + "/", &found)
      }
      return
    }
    for name in try names(in: start, like: first) {
      if isLast {
        found.insert(ExactText(start + name))
      } else if PathKind(of: start + name) == .folder {
        try match(rest, from: start + name + "/", &found)
      }
    }
  }

  /// Matches in a folder and in all folders below it; at the end of a pattern everything in them.
  ///
  /// - Parameter above: the parent folders, to stop at cyclic links
  private static func matchFolders(
    _ rest: ArraySlice<String>, from start: String, above: [FolderIdentity],
    _ found: inout Set<ExactText>
  ) throws(FileError) {
    guard let identity = FolderIdentity(of: start.isEmpty ? "." : start),
      !above.contains(identity)
    else { return }
    if rest.isEmpty {
      if !start.isEmpty, above.isEmpty { found.insert(ExactText(start)) }
    } else {
      try match(rest, from: start, &found)
    }
    for name in try names(in: start, like: "*") {
      let isFolder = PathKind(of: start + name) == .folder
      if rest.isEmpty { found.insert(ExactText(start + name)) }
      if isFolder {
        try matchFolders(rest, from: start + name + "/", above: above + [identity], &found)
      }
    }
  }

  private static func names(
    in folder: String, like component: String
  ) throws(FileError) -> [String] {
    guard PathKind(of: folder.isEmpty ? "." : folder) == .folder else { return [] }
    let pattern = NamePattern(component)
    return try FolderListing.names(in: folder.isEmpty ? "." : folder).filter {
      ($0.hasPrefix(".") ? component.hasPrefix(".") : true) && pattern.matches($0)
    }
  }
}

/// One component of a pattern.
private struct NamePattern {
  private enum Part {
    case anything
    case one
    case literal(Unicode.Scalar)
    case choice(isNegated: Bool, ranges: [ClosedRange<Unicode.Scalar>])
  }

  private let parts: [Part]

  init(_ component: String) {
    let scalars = Array(component.unicodeScalars)
    var parts: [Part] = []
    var index = 0
    while index < scalars.count {
      let scalar = scalars[index]
      index += 1
      switch scalar {
      case "*": parts.append(.anything)
      case "?": parts.append(.one)
      case "[":
        if let (choice, end) = Self.choice(scalars, from: index) {
          parts.append(choice)
          index = end
        } else {
          parts.append(.literal(scalar))
        }
      default: parts.append(.literal(scalar))
      }
    }
    self.parts = parts
  }

  /// Returns the set between brackets, and the position after it; nil without a closing bracket.
  private static func choice(_ scalars: [Unicode.Scalar], from start: Int) -> (Part, Int)? {
    var index = start
    let isNegated = index < scalars.count && scalars[index] == "!"
    if isNegated { index += 1 }
    let first = index
    var ranges: [ClosedRange<Unicode.Scalar>] = []
    while index < scalars.count {
      let scalar = scalars[index]
      // A leading closing bracket is literal.
      if scalar == "]", index > first {
        return (.choice(isNegated: isNegated, ranges: ranges), index + 1)
      }
      if index + 2 < scalars.count, scalars[index + 1] == "-", scalars[index + 2] != "]" {
        if scalar <= scalars[index + 2] { ranges.append(scalar...scalars[index + 2]) }
        index += 3
      } else {
        ranges.append(scalar...scalar)
        index += 1
      }
    }
    return nil
  }

  /// Backtracks only to the last `*`, so that the time is bounded by the product of the lengths.
  func matches(_ name: String) -> Bool {
    let scalars = Array(name.unicodeScalars)
    var position = 0
    var part = 0
    var retry: (part: Int, position: Int)?
    while position < scalars.count {
      if part < parts.count, case .anything = parts[part] {
        retry = (part, position)
        part += 1
      } else if part < parts.count, Self.matches(parts[part], scalars[position]) {
        part += 1
        position += 1
      } else if let last = retry {
        retry = (last.part, last.position + 1)
        (part, position) = (last.part + 1, last.position + 1)
      } else {
        return false
      }
    }
    return parts[part...].allSatisfy { if case .anything = $0 { true } else { false } }
  }

  private static func matches(_ part: Part, _ scalar: Unicode.Scalar) -> Bool {
    switch part {
    case .anything: false
    case .one: true
    case .literal(let literal): literal == scalar
    case .choice(let isNegated, let ranges):
      ranges.contains { $0.contains(scalar) } != isNegated
    }
  }
}
