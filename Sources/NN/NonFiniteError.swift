public import Autograd
public import Files

/// A computation gave NaN or infinity.
public struct NonFiniteError: ClassifiedError, Equatable, CustomStringConvertible {
  /// The part of the model and, if there is one, the step.
  public let source: String
  public let isNaN: Bool
  /// Further context, such as the prompt and the LoRA files, each a phrase.
  public private(set) var details: [String]
  /// The advice.
  public private(set) var remedy: String?

  public init(_ source: String, isNaN: Bool, details: [String] = [], remedy: String? = nil) {
    self.source = source
    self.isNaN = isNaN
    self.details = details
    self.remedy = remedy
  }

  public var kind: FailureKind { .notFinite }

  public var description: String {
    ([source + " gave " + (isNaN ? "NaN" : "infinity")] + details).joined(separator: ", ")
      + (remedy.map { "; \($0)" } ?? "")
  }

  /// The same error with more that is known; a remedy stays what it was.
  public func adding(_ details: [String], remedy: String? = nil) -> NonFiniteError {
    var error = self
    error.details += details
    error.remedy = error.remedy ?? remedy
    return error
  }
}

extension Tensor {
  /// The same tensor, all of whose numbers are finite.
  ///
  /// - Parameter source: the part of a model that computed it, and the step
  /// - Throws: `NonFiniteError` if a number is NaN or infinite
  @discardableResult
  public func requiringFinite(
    _ source: @autoclosure () -> String
  ) throws(NonFiniteError) -> Tensor {
    guard let position = firstNonFinite else { return self }
    throw NonFiniteError(source(), isNaN: withValues { $0[position].isNaN })
  }
}

/// Runs `body`; an error that its numbers are not finite gets `details`.
@discardableResult
public func naming<Result>(
  _ details: @autoclosure () -> [String], remedy: String? = nil, _ body: () throws -> Result
) throws -> Result {
  do { return try body() } catch let error as NonFiniteError {
    throw error.adding(details(), remedy: remedy)
  }
}
