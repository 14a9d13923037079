// The last bits of what models compute are those of one device: a result is made on one, unless the user
// wants otherwise.

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
  func requireDevice(_ device: String) throws(PipelineError) {
    let begun: StageRun?
    switch work {
    case .build(resumes: true): begun = record?.run
    case .repair: begun = record?.result?.run
    default: begun = nil
    }
    guard configured.type.usesDevice, let last = begun?.devices.last, last != device else { return }
    throw .otherDevice(stage: configured.name, begun: last, now: device)
  }
}
