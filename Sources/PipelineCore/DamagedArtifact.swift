public import Files

/// Damage to an earlier stage's artifact that its files do not show, as in a cache.
///
/// ``Runner`` has the stage that makes the artifact repair it, once, and continues.
public struct DamagedArtifact: ClassifiedError, CustomStringConvertible {
  public let artifact: Artifact
  public let reason: String

  public init(_ artifact: Artifact, _ reason: String) {
    self.artifact = artifact
    self.reason = reason
  }

  public var kind: FailureKind { .input }
  public var description: String { reason }
}
