import Devices
import Testing

extension DeviceTests {
  @Suite
  struct OperationTests {
    @Test(
      "every operation gives what the host gives, twice the same bits",
      .enabled(if: TestDevice.isHere), arguments: ProductPrecision.allCases)
    func operations(_ precision: ProductPrecision) throws {
      let device = try TestDevice.open(precision, emulatesTensorCores: true)
      for finding in DeviceCheck(device).findings {
        #expect(finding.isRight, "\(finding.name): \(finding.error) > \(finding.tolerance)")
      }
    }
  }
}
