// The last bits of what models compute depend on the device: a result is computed on one, unless
// the user wants otherwise.

/// The device of a run, as records name it.
///
/// It may be able to compute as it did before an update, with code cached at that time: results
/// begun then are continued that way, and new ones use the current code.
public struct RunDevice {
  /// The identity for new results.
  let identity: String
  private let canContinue: (_ begun: String) -> Bool
  private let turn: (_ identity: String) throws -> Void

  /// - Parameters:
  ///   - canContinue: whether it can reproduce the bits of a recorded device
  ///   - turn: switches to the given identity: its own, or one that it can continue
  public init(
    _ identity: String, canContinue: @escaping (_ begun: String) -> Bool = { _ in false },
    turn: @escaping (_ identity: String) throws -> Void = { _ in }
  ) {
    self.identity = identity
    self.canContinue = canContinue
    self.turn = turn
  }

  func isAble(toContinue begun: String) -> Bool { begun == identity || canContinue(begun) }

  /// Switches to the identity with which a result was begun, if there is one and it can, else to
  /// the current one.
  ///
  /// - Parameter mayChange: whether to use the current identity in any case
  /// - Returns: the identity now in use
  func turn(to begun: String?, mayChange: Bool) throws -> String {
    let chosen = begun.flatMap { !mayChange && canContinue($0) ? $0 : nil } ?? identity
    try turn(chosen)
    return chosen
  }
}

extension StageRun {
  /// Records the device that computes from here on.
  mutating func note(_ device: String) {
    if devices.last != device { devices.append(device) }
  }
}

extension Planner.Step {
  /// Refuses to continue a result that was begun on another device.
  ///
  /// - Throws: `PipelineError.otherDevice`
  func requireDevice(_ device: RunDevice) throws(PipelineError) {
    let begun: StageRun?
    switch work {
    case .build(resumes: true): begun = record?.run
    case .repair: begun = record?.result?.run
    default: begun = nil
    }
    guard configured.type.usesDevice, let last = begun?.devices.last,
      !device.isAble(toContinue: last)
    else { return }
    throw .otherDevice(stage: configured.name, begun: last, now: device.identity)
  }
}
