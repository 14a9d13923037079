/// The options and operands of one call of a command.
public struct Arguments: Sendable {
  private let syntax: CommandSyntax
  /// The operands, in order.
  public let operands: [String]
  private let values: [String: [String]]
  /// `--help` was given: the rest is incomplete.
  public let wantsHelp: Bool

  init(
    syntax: CommandSyntax, operands: [String], values: [String: [String]], wantsHelp: Bool = false
  ) {
    self.syntax = syntax
    self.operands = operands
    self.values = values
    self.wantsHelp = wantsHelp
  }

  public func has(_ option: String) -> Bool { given(option) != nil }

  /// All values of an option that may be repeated.
  public func values(_ option: String) -> [String] { given(option) ?? [] }

  public func value(_ option: String) -> String? { given(option)?.first }

  /// The value of an option that cannot be left out.
  public func required(_ option: String) throws(UsageError) -> String {
    guard let value = value(option) else { throw error("--\(option) is missing") }
    return value
  }

  public func int(
    _ option: String, in range: ClosedRange<Int> = Int.min...Int.max
  ) throws(UsageError) -> Int? {
    guard let text = value(option) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      let bounds =
        switch (range.lowerBound, range.upperBound) {
        case (Int.min, Int.max): ""
        case (let low, Int.max): " of at least \(low)"
        case (let low, let high): " from \(low) to \(high)"
        }
      throw error("--\(option) must be an integer\(bounds), but is \"\(text)\"")
    }
    return number
  }

  /// Parses a seed: any 64 bits, without a sign.
  public func seed(_ option: String) throws(UsageError) -> UInt64? {
    guard let text = value(option) else { return nil }
    guard let seed = UInt64(text) else {
      throw error("--\(option) must be an integer from 0 to \(UInt64.max), but is \"\(text)\"")
    }
    return seed
  }

  public func double(_ option: String) throws(UsageError) -> Double? {
    guard let text = value(option) else { return nil }
    guard let number = Double(text), number.isFinite else {
      throw error("--\(option) must be a number, but is \"\(text)\"")
    }
    return number
  }

  /// Two integers with a separator between them, such as `512x512` or `1/4`.
  public func pair(
    _ option: String, separator: Character
  ) throws(UsageError) -> (first: Int, second: Int)? {
    guard let text = value(option) else { return nil }
    let parts = text.split(separator: separator, omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let first = parts[0], let second = parts[1] else {
      let placeholder = syntax.options.first { $0.name == option }?.placeholder ?? ""
      throw error("--\(option) must be of the form \(placeholder), but is \"\(text)\"")
    }
    return (first, second)
  }

  /// Other programs' names of the same option.
  private static let otherNames = [
    "fp32": "f32", "float32": "f32", "float": "f32", "fp16": "f16", "float16": "f16", "half": "f16",
    "bfloat16": "bf16", "kohya": "webui", "a1111": "webui", "automatic1111": "webui",
    "comfyui": "webui", "forge": "webui", "diffusers": "lora", "peft": "lora", "full": "merged",
    "merge": "merged", "checkpoint": "merged",
  ]

  /// The value of an option that is one of a few words.
  public func choice<Value: RawRepresentable<String> & CaseIterable>(
    _ option: String
  ) throws(UsageError) -> Value? {
    guard let text = value(option) else { return nil }
    guard let value = Value(rawValue: text) else {
      let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
      let meant = Self.otherNames[text.lowercased()].flatMap { Value(rawValue: $0) }
      throw error(
        "--\(option) must be one of \(known), but is \"\(text)\""
          + (meant.map { "; did you mean \($0.rawValue)?" } ?? ""))
    }
    return value
  }

  /// A complaint about these arguments.
  public func error(_ problem: String) -> UsageError { UsageError(command: syntax.name, problem) }

  /// The value of an option that not all commands have.
  public func optionalValue(_ option: String) -> String? {
    syntax.options.contains { $0.name == option } ? value(option) : nil
  }

  private func given(_ option: String) -> [String]? {
    precondition(
      syntax.options.contains { $0.name == option }, "\(syntax.name) has no option --\(option)")
    return values[option]
  }
}
