/// The kind of a failure; its number is the exit code.
public enum FailureKind: Int32, CaseIterable, Sendable {
  /// A failure without a kind of its own.
  case other = 1
  /// The command line was not understood.
  case usage = 2
  /// A setting is unknown, of the wrong type, or out of range.
  case settings = 3
  /// A file is missing, damaged, or not what it should be.
  case input = 4
  /// The disk is full, or memory was refused.
  case space = 5
  /// Another process works in the same place.
  case busy = 6
  /// A computation or a file gave numbers that are not finite.
  case notFinite = 7
  /// Training ended without having changed the model.
  case nothingLearned = 8
}

/// An error with a failure kind.
public protocol ClassifiedError: Error {
  var kind: FailureKind { get }
}

extension FailureKind {
  /// Creates the kind of any error; ``other`` for those without one.
  public init(_ error: any Error) {
    self = (error as? any ClassifiedError)?.kind ?? .other
  }
}
