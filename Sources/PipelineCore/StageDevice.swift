// The last bits of what models compute are those of one device: a result is made on one, unless the user
// wants otherwise.

/// What computes in a run, as records name it.
///
/// It may be able to compute as it did before an update, by what was kept of that time: what was begun then is
/// continued so, and what is new is computed as of today.
public struct RunDevice {
  /// What computes something new.
  let identity: String
  private let canContinue: (_ begun: String) -> Bool
  private let turn: (_ identity: String) throws -> Void

  /// - Parameters:
  ///   - canContinue: whether it can compute the same bits as what a record names
  ///   - turn: makes it compute as what it is given: its own identity, or one that it can continue
  public init(
    _ identity: String, canContinue: @escaping (_ begun: String) -> Bool = { _ in false },
    turn: @escaping (_ identity: String) throws -> Void = { _ in }
  ) {
    self.identity = identity
    self.canContinue = canContinue
    self.turn = turn
  }

  func isAble(toContinue begun: String) -> Bool { begun == identity || canContinue(begun) }

  /// Makes it compute like what began, if there is such and it can, else as of today.
  ///
  /// - Parameter mayChange: whether it is as of today in any case
  /// - Returns: as what it computes
  func turn(to begun: String?, mayChange: Bool) throws -> String {
    let chosen = begun.flatMap { !mayChange && canContinue($0) ? $0 : nil } ?? identity
    try turn(chosen)
    return chosen
  }
}

extension StageRun {
  /// Notes what computes from here on.
  mutating func note(_ device: String) {
    if devices.last != device { devices.append(device) }
  }
}

extension Planner.Step {
  /// Refuses to continue on another device with what was begun.
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
