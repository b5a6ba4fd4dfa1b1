# After the code: an event subscription needs the function that it delivers to, and the gateway the API's description.
# azd hands its environment over; `az` must have signed in to the same subscription. Running it again changes nothing.
$ErrorActionPreference = 'Stop'

if (-not $env:AZURE_RESOURCE_GROUP) { throw 'run this through azd: azd hooks run postdeploy' }

# The platform lists a function, and a role takes effect, some time after they were made.
foreach ($wait in 30, 60, 120, 0) {
  az deployment group create `
    --subscription $env:AZURE_SUBSCRIPTION_ID `
    --resource-group $env:AZURE_RESOURCE_GROUP `
    --name event-subscription `
    --template-file (Join-Path $PSScriptRoot '../event-subscription.bicep') `
    --parameters `
      topicName=$env:EVENTGRID_TOPIC_NAME `
      functionAppId=$env:FUNCTION_APP_ID `
      storageAccountId=$env:HOST_STORAGE_ID `
      deadLetterContainer=$env:DEAD_LETTER_CONTAINER `
    --output none
  if ($LASTEXITCODE -eq 0) { break }
  if ($wait -eq 0) { throw 'the event subscription could not be made' }
  Write-Host "not yet; again in $wait s"
  Start-Sleep -Seconds $wait
}

if ($env:API_MANAGEMENT_NAME) {
  az apim api import `
    --subscription $env:AZURE_SUBSCRIPTION_ID `
    --resource-group $env:AZURE_RESOURCE_GROUP `
    --service-name $env:API_MANAGEMENT_NAME `
    --api-id countersign `
    --path countersign `
    --service-url $env:SERVICE_FUNCTIONS_URI `
    --specification-format OpenApiJson `
    --specification-path (Join-Path $PSScriptRoot '../../docs/openapi.json') `
    --subscription-required false `
    --output none
  if ($LASTEXITCODE -ne 0) { throw 'the API could not be imported' }
}

Write-Host "Ready when this says so: $($env:SERVICE_FUNCTIONS_URI)/api/ready"
