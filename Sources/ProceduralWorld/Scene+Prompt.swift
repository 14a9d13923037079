public import Files

/// Why a text is no prompt of the procedural world.
public enum ScenePromptError: ClassifiedError, Equatable, CustomStringConvertible {
  /// The word at `position` (counted from 1, a comma is a word) is none of those that may stand
  /// there; `found` is nil where the prompt ends too early.
  case unexpected(prompt: String, position: Int, found: String?, expected: [String])
  /// Two objects have the same colour, so that no word tells them apart.
  case sameColour(prompt: String, colour: SceneColour)

  public var kind: FailureKind { .input }

  public var description: String {
    switch self {
    case .unexpected(let prompt, let position, let found, let expected):
      "\"\(prompt)\": word \(position) is \(found.map { "\"\($0)\"" } ?? "missing"),"
        + " expected \(expected.map { "\"\($0)\"" }.joined(separator: " or "))"
    case .sameColour(let prompt, let colour):
      "\"\(prompt)\": both objects are \(colour.rawValue); give them different colours"
    }
  }
}

extension Scene {
  /// The scene's prompt, such as `a red circle on the left and a blue square on the right, dark
  /// background`.
  public var prompt: String {
    let phrases = objects.map { object in
      let preposition = object.place == .middle ? "in" : "on"
      return "a \(object.colour.rawValue) \(object.shape.rawValue)"
        + " \(preposition) the \(object.place.rawValue)"
    }
    return phrases.joined(separator: " and ") + ", \(background.rawValue) background"
  }

  /// Reads a prompt; white space and capitals make no difference.
  public init(prompt: String) throws(ScenePromptError) {
    var words = PromptWords(prompt)
    var objects = [try words.nextObject(at: ScenePlace.allCases)]
    let partner = Scene.placePairs.first { $0[0] == objects[0].place }?[1]
    if try words.next(partner == nil ? [","] : ["and", ","]) == "and", let partner {
      objects.append(try words.nextObject(at: [partner]))
      guard objects[0].colour != objects[1].colour else {
        throw .sameColour(prompt: prompt, colour: objects[0].colour)
      }
      try words.next([","])
    }
    background = try words.next(SceneBackground.allCases)
    try words.next(["background"])
    try words.end()
    self.objects = objects
  }

  /// The words that prompts are made of.
  package static let words: [String] =
    ["a", "and", "on", "in", "the", ",", "background"]
    + SceneColour.allCases.map(\.rawValue) + SceneShape.allCases.map(\.rawValue)
    + ScenePlace.allCases.map(\.rawValue) + SceneBackground.allCases.map(\.rawValue)
}

/// The words of a prompt, taken one after the other.
private struct PromptWords {
  private let prompt: String
  private let words: [String]
  private var position = 0

  init(_ prompt: String) {
    self.prompt = prompt
    var words = [""]
    for character in prompt.lowercased() {
      if character == "," {
        words += [",", ""]
      } else if character.isWhitespace {
        words.append("")
      } else {
        words[words.count - 1].append(character)
      }
    }
    self.words = words.filter { !$0.isEmpty }
  }

  @discardableResult
  mutating func next(_ expected: [String]) throws(ScenePromptError) -> String {
    let found = position < words.count ? words[position] : nil
    position += 1
    guard let found, expected.contains(found) else {
      throw .unexpected(prompt: prompt, position: position, found: found, expected: expected)
    }
    return found
  }

  mutating func next<Word: RawRepresentable<String>>(
    _ expected: [Word]
  ) throws(ScenePromptError) -> Word {
    let found = try next(expected.map(\.rawValue))
    guard let word = Word(rawValue: found) else {
      preconditionFailure("\(found) was checked to be one of \(expected)")
    }
    return word
  }

  mutating func nextObject(at places: [ScenePlace]) throws(ScenePromptError) -> SceneObject {
    try next(["a"])
    let colour = try next(SceneColour.allCases)
    let shape = try next(SceneShape.allCases)
    let isInMiddle = try next(places.contains(.middle) ? ["on", "in"] : ["on"]) == "in"
    try next(["the"])
    let place = try next(places.filter { ($0 == .middle) == isInMiddle })
    return SceneObject(colour: colour, shape: shape, place: place)
  }

  func end() throws(ScenePromptError) {
    guard position == words.count else {
      throw .unexpected(
        prompt: prompt, position: position + 1, found: words[position],
        expected: ["the end of the prompt"])
    }
  }
}
