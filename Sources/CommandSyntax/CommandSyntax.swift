public import Files
import PipelineCore

/// The syntax of a command: its options and operands.
///
/// Options are written `--name value`, `--name=value` or, without a value, `--name`. A value is taken
/// as it is, whatever it begins with. `--` ends the options. Every command knows `--help`.
public struct CommandSyntax: Sendable {
  public struct Option: Sendable {
    public let name: String
    /// The placeholder for the value in help, such as `FILE`; nil for an option without one.
    public let placeholder: String?
    public let isRepeatable: Bool
    public let help: String

    /// An option with a value.
    public static func value(
      _ name: String, _ placeholder: String, isRepeatable: Bool = false, _ help: String
    ) -> Option {
      Option(name: name, placeholder: placeholder, isRepeatable: isRepeatable, help: help)
    }

    /// An option that is there or not.
    public static func flag(_ name: String, _ help: String) -> Option {
      Option(name: name, placeholder: nil, isRepeatable: false, help: help)
    }
  }

  public struct Operand: Sendable {
    public let placeholder: String
    public let isOptional: Bool
    public let isRepeatable: Bool

    public init(_ placeholder: String, isOptional: Bool = false, isRepeatable: Bool = false) {
      self.placeholder = placeholder
      self.isOptional = isOptional
      self.isRepeatable = isRepeatable
    }
  }

  public let name: String
  public let summary: String
  public let operands: [Operand]
  public let options: [Option]
  /// Whole command lines, each with what it does.
  public let examples: [(line: String, purpose: String)]

  public init(
    name: String, summary: String, operands: [Operand] = [], options: [Option] = [],
    examples: [(line: String, purpose: String)]
  ) {
    self.name = name
    self.summary = summary
    self.operands = operands
    self.options = options
    self.examples = examples
  }

  /// Sorts the words after the command's name into options and operands.
  public func parse(_ words: [String]) throws(UsageError) -> Arguments {
    var values: [String: [String]] = [:]
    var operands: [String] = []
    var rest = words[...]
    while let word = rest.popFirst() {
      if word == "--" {
        operands += rest
        break
      }
      if word == "--help" || word == "-h" {
        return Arguments(syntax: self, operands: operands, values: values, wantsHelp: true)
      }
      guard word.hasPrefix("--") else {
        guard !word.hasPrefix("-") || word == "-" else {
          throw UsageError(command: name, "unknown option \(word); options start with --")
        }
        operands.append(word)
        continue
      }
      let parts = word.dropFirst(2).split(
        separator: "=", maxSplits: 1, omittingEmptySubsequences: false
      ).map(String.init)
      let option = try option(parts[0])
      if option.placeholder == nil {
        guard parts.count == 1 else {
          throw UsageError(command: name, "--\(option.name) takes no value")
        }
        values[option.name] = []
      } else {
        guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
          throw UsageError(
            command: name, "--\(option.name) needs a value: \(option.placeholder ?? "")")
        }
        guard option.isRepeatable || values[option.name] == nil else {
          throw UsageError(command: name, "--\(option.name) was given twice")
        }
        values[option.name, default: []].append(value)
      }
    }
    try check(operands)
    return Arguments(syntax: self, operands: operands, values: values)
  }

  private func option(_ name: String) throws(UsageError) -> Option {
    if let option = options.first(where: { $0.name == name }) { return option }
    let hint =
      if let meant = meant(by: name)?.text {
        "did you mean --\(meant)?"
      } else if options.isEmpty {
        "this command has no options"
      } else {
        "available: \(options.map { "--\($0.name)" }.joined(separator: ", "))"
      }
    throw UsageError(command: self.name, "unknown option --\(name); \(hint)")
  }

  private func check(_ given: [String]) throws(UsageError) {
    let required = operands.filter { !$0.isOptional }
    if given.count < required.count {
      throw UsageError(command: name, "\(required[given.count].placeholder) is missing")
    }
    // An unset variable in a script; a file of this name cannot be.
    if let place = given.firstIndex(of: ""), let last = operands.indices.last {
      throw UsageError(command: name, "\(operands[min(place, last)].placeholder) is empty")
    }
    if given.count > operands.count, !operands.contains(where: \.isRepeatable) {
      throw UsageError(command: name, "unexpected \"\(given[operands.count])\"")
    }
  }
}

/// A usage error: a command line that is not understood.
public struct UsageError: ClassifiedError, Equatable, CustomStringConvertible {
  /// Nil for the program itself.
  public let command: String?
  public let problem: String

  public init(command: String?, _ problem: String) {
    self.command = command
    self.problem = problem
  }

  public var kind: FailureKind { .usage }

  public var description: String {
    let command = command.map { " \($0)" } ?? ""
    return "spo\(command): \(problem) (see spo\(command) --help)"
  }
}
