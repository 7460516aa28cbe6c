{{/* The chart's name, for labels. */}}
{{- define "operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* The name of every object. 52 characters leave room for what is put behind it. */}}
{{- define "operator.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "operator.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "operator.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* Whether this release writes the status of Partners: "true" or "". */}}
{{- define "operator.partnerStatus" -}}
{{- if kindIs "invalid" .Values.partnerStatus -}}
{{- if not .Values.watchNamespaces }}true{{ end -}}
{{- else if .Values.partnerStatus -}}
true
{{- end -}}
{{- end }}

{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
The metadata of an object. Called with a list: the context, then optionally a dict of
name, namespace ("" for what has none), labels, annotations.
*/}}
{{- define "operator.metadata" -}}
{{- $context := index . 0 -}}
{{- $own := dict -}}
{{- if gt (len .) 1 }}{{ $own = index . 1 }}{{ end -}}
name: {{ $own.name | default (include "operator.fullname" $context) }}
{{- $namespace := hasKey $own "namespace" | ternary $own.namespace $context.Release.Namespace }}
{{- with $namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- mergeOverwrite (include "operator.labels" $context | fromYaml) ($own.labels | default dict) | toYaml | nindent 2 }}
{{- with mergeOverwrite (deepCopy $context.Values.commonAnnotations) ($own.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What the operator may do with what lives in a namespace: rules of the ClusterRole, or of the Role in each watched namespace. */}}
{{- define "operator.namespacedRules" -}}
- apiGroups: [integrations.kognitiv.com]
  resources: [partnerintegrations]
  verbs: [get, list, watch]
- apiGroups: [integrations.kognitiv.com]
  resources: [partnerintegrations/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# The operator asks for metadata when it lists and watches, and gets the data of a Secret that an integration names.
# RBAC cannot say so: whoever may list or watch Secrets may read them all. `secretWatch: none` does with get.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get{{ if ne .Values.secretWatch "none" }}, list, watch{{ end }}{{ if .Values.bindings.enabled }}, create, update, delete{{ end }}]
{{- end }}

{{/* What it may do with the catalogue, which has no namespace. */}}
{{- define "operator.partnerRules" -}}
- apiGroups: [integrations.kognitiv.com]
  resources: [partners]
  verbs: [get, list, watch]
{{- if include "operator.partnerStatus" . }}
- apiGroups: [integrations.kognitiv.com]
  resources: [partners/status]
  verbs: [patch]
{{- end }}
{{- end }}

{{/* A duration of one number and one unit, in seconds. The schema lets nothing else through. */}}
{{- define "operator.seconds" -}}
{{- $units := dict "s" 1 "m" 60 "h" 3600 "d" 86400 -}}
{{- mul (regexFind "^[0-9]+" . | int) (get $units (regexFind "[smhd]$" .)) -}}
{{- end }}

{{/*
The objects of a file that is a copy of one of the repository, with the metadata of this release. Called with a dict: context, path,
annotations, and actions: what a ValidatingAdmissionPolicyBinding does.
*/}}
{{- define "operator.copied" -}}
{{- $call := . -}}
{{- range regexSplit "(^|\n)---\n" (.context.Files.Get .path) -1 }}
{{- $object := fromYaml . }}
{{- $own := dict "name" $object.metadata.name "namespace" "" "labels" ($object.metadata.labels | default dict) "annotations" ($call.annotations | default dict) }}
{{- $_ := set $object "metadata" (include "operator.metadata" (list $call.context $own) | fromYaml) }}
{{- if eq $object.kind "ValidatingAdmissionPolicyBinding" }}
{{- $_ := set $object.spec "validationActions" $call.actions }}
{{- end }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
